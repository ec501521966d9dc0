"""The server in SageMaker's scikit-learn container: /ping and /invocations over a script's
model_fn, input_fn, predict_fn, output_fn.

Run as a program: serve.py SCRIPT MODEL_FOLDER PORT_FILE. It imports nothing of the stand-in.
https://github.com/aws/sagemaker-scikit-learn-container
"""

from __future__ import annotations

import importlib.util
import sys
import traceback
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

# what the toolkit hands to a script as text, all else as bytes
TEXTS = ("application/json", "text/csv")
FUNCTIONS = ("model_fn", "input_fn", "predict_fn", "output_fn")


def load(script: str) -> Any:
    """The script as a module; raises AttributeError where it lacks one of the four functions."""
    sys.path.insert(0, str(Path(script).parent))
    spec = importlib.util.spec_from_file_location(Path(script).stem, script)
    if spec is None or spec.loader is None:
        raise ImportError(f"{script} is no Python file.")
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    if missing := [each for each in FUNCTIONS if not hasattr(module, each)]:
        raise AttributeError(
            f"{Path(script).name} has no {', '.join(missing)}; local_aws has no defaults for them."
        )
    return module


def handler(module: Any, model: Any) -> type[BaseHTTPRequestHandler]:
    """Answers by the module's functions."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self._say(200 if self.path == "/ping" else 404, b"")

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            try:
                kind = self.headers["Content-Type"]
                rows = module.input_fn(body.decode() if kind in TEXTS else body, kind)
                request = module.output_fn(module.predict_fn(rows, model), self.headers["Accept"])
            except Exception as error:  # noqa: BLE001 - whatever the script raises is the answer
                traceback.print_exc()
                self._say(500, repr(error).encode())
                return
            text = request[0] if isinstance(request, tuple) else request
            self._say(200, text if isinstance(text, bytes) else str(text).encode())

        def _say(self, status: int, body: bytes) -> None:
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

    return Handler


def main(script: str, model_folder: str, port_file: str) -> None:
    """Load the model, then serve on a free port of this machine and say which in `port_file`."""
    module = load(script)
    server = HTTPServer(("127.0.0.1", 0), handler(module, module.model_fn(model_folder)))
    fresh = Path(port_file + ".new")
    fresh.write_text(str(server.server_port))
    fresh.replace(port_file)
    server.serve_forever()


if __name__ == "__main__":
    main(*sys.argv[1:4])

"""Speed and memory as ratios measured side by side; `python -m bench` runs all and writes
`bench/RESULTS.md`.
"""

"""What passengers of the demo's late flights send in: letters, claim forms, receipts and pictures,
the same on every machine.
"""

from __future__ import annotations

import io
import json
import random
import shutil
import tempfile
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

from PIL import Image

if TYPE_CHECKING:
    from collections.abc import Iterator

    from local_aws.engines.postgresql import Server
    from local_aws.stand_in import StandIn

LANDING = "landing/"
CLAIMS_AT_SCALE_1, FEWEST_CLAIMS = 400, 12
LOOK_AGAIN_SECONDS = 0.5
CLAIMANTS = """select booking_id, passenger_id, coalesce(first_name || ' ', '') || last_name,
    flight_id, carrier, origin, destination,
    arrival_delay, scheduled_departure::date::text, price
from customers.bookings join customers.passengers using (passenger_id)
    join operations.flights using (flight_id)
where arrival_delay >= 120 and not bookings.cancelled order by booking_id limit %s"""
LETTERS = (
    (
        "Dear customer service,\n\nflight {flight} on {day} was {delay} minutes late. I missed my"
        " connection and ask for compensation.\n\n{name}\n"
    ),
    (
        "Sehr geehrte Damen und Herren,\n\nmein Flug {flight} am {day} kam {delay} Minuten zu spät"
        " an. Ich bitte um eine Entschädigung.\n\n{name}\n"
    ),
    (
        "Hello,\n\nnobody told us why {flight} on {day} left so late. Please refund my taxi, the"
        " receipt is attached.\n\n{name}\n"
    ),
)
SPENT = (("taxi", 18, 70), ("hotel", 60, 240), ("meal", 8, 35), ("telephone", 2, 9))


def deliver(stand_in: StandIn, server: Server, database: str, scale: float) -> None:
    """Put the documents below landing/ of the first bucket named …-raw, from a thread, as soon as
    there is one.
    """
    arguments = (stand_in, server, database, max(FEWEST_CLAIMS, round(CLAIMS_AT_SCALE_1 * scale)))
    threading.Thread(target=_deliver, args=arguments, name="documents", daemon=True).start()


def documents(claimants: list[tuple[Any, ...]]) -> Iterator[tuple[str, bytes]]:
    """Name below the landing prefix and content of each document."""
    yield (
        "conditions-of-carriage.pdf",
        _pdf(["Conditions of carriage", "Delays of two hours and more: refund of expenses."]),
    )
    for booking, passenger, name, _, carrier, origin, destination, delay, day, price in claimants:
        chance = random.Random(booking)  # noqa: S311 - it has to be the same every time
        told = {
            "flight": f"{carrier} {origin}-{destination}",
            "day": day,
            "delay": delay,
            "name": name,
        }
        folder = f"claims/passenger_id={passenger}/booking_id={booking}/"
        if chance.random() < 0.4:
            yield f"{folder}letter.txt", chance.choice(LETTERS).format(**told).encode()
        else:
            lines = [
                "Claim for compensation",
                *(f"{key}: {value}" for key, value in told.items()),
                f"fare paid: {price} USD",
            ]
            yield f"{folder}claim.pdf", _pdf(lines)
        if chance.random() < 0.6:
            receipt = json.dumps(_receipt(chance, booking), indent=1).encode()
            yield f"{folder}receipt.json", receipt
            if chance.random() < 0.1:
                yield f"{folder}receipt-copy.json", receipt  # sent twice
        if chance.random() < 0.4:
            yield f"{folder}boarding-pass.png", _barcode(chance)


def _deliver(stand_in: StandIn, server: Server, database: str, claims: int) -> None:
    later = threading.Event()
    while not (found := [each for each in stand_in.objects.buckets() if each.endswith("-raw")]):
        later.wait(LOOK_AGAIN_SECONDS)
    with server.connect(database) as connection:
        claimants = connection.execute(CLAIMANTS, [claims]).fetchall()
    folder = Path(tempfile.mkdtemp(dir=stand_in.directory))
    for key, content in documents(claimants):
        (folder / "document").write_bytes(content)
        stand_in.objects.put_file(found[0], LANDING + key, folder / "document")
    shutil.rmtree(folder)


def _receipt(chance: random.Random, booking: int) -> dict[str, Any]:
    bought = chance.sample(SPENT, chance.randint(1, 3))
    items = [
        {"what": what, "amount": round(chance.uniform(least, most), 2)}
        for what, least, most in bought
    ]
    return {"booking_id": booking, "currency": chance.choice(["USD", "USD", "EUR"]), "items": items}


def _barcode(chance: random.Random) -> bytes:
    """A boarding pass's barcode as a picture."""
    bars = Image.frombytes("L", (60, 1), bytes(chance.choice((0, 255)) for _ in range(60))).resize(
        (240, 80)
    )
    out = io.BytesIO()
    bars.save(out, "PNG")
    return out.getvalue()


def _pdf(lines: list[str]) -> bytes:
    """One page of text; ISO 32000-1, 7.5: header, objects, their places, trailer."""
    escaped = (
        line.translate({ord(each): f"\\{each}" for each in "()\\"}).encode("cp1252", "replace")
        for line in lines
    )
    page = (
        b"BT /F1 11 Tf 60 780 Td 16 TL "
        + b" ".join(b"(%s) Tj T*" % line for line in escaped)
        + b" ET"
    )
    objects = (
        b"<< /Type /Catalog /Pages 2 0 R >>",
        b"<< /Type /Pages /Kids [3 0 R] /Count 1 >>",
        (
            b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 595 842] /Contents 4 0 R /Resources <<"
            b" /Font << /F1 5 0 R >> >> >>"
        ),
        b"<< /Length %d >> stream\n%s\nendstream" % (len(page), page),
        b"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica /Encoding /WinAnsiEncoding >>",
    )
    out, places = bytearray(b"%PDF-1.4\n"), []
    for number, each in enumerate(objects, 1):
        places.append(len(out))
        out += b"%d 0 obj\n%s\nendobj\n" % (number, each)
    table = b"".join(b"%010d 00000 n \n" % place for place in places)
    size = len(objects) + 1
    trailer = b"trailer << /Size %d /Root 1 0 R >>\nstartxref\n%d\n%%%%EOF\n" % (size, len(out))
    return bytes(out) + b"xref\n0 %d\n0000000000 65535 f \n%s" % (size, table) + trailer

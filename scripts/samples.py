#!/usr/bin/env python3
"""Makes the records over which the pipelines of pipelines/ that have no public data set are run and tested.

Each topic is a file of one JSON object a line. Records come in the order in which a topic would have them: in that of
their times but for some that come late, by less than the pipeline's lateness. The same seed gives the same files.

    scripts/samples.py --to testdata        fraud/, personalization/, iot/ and orders/, as they are checked in
"""

import argparse
import json
import random
from datetime import datetime, timedelta, timezone
from pathlib import Path

START = datetime(2025, 3, 3, 8, tzinfo=timezone.utc)


class Sample:
    """Chance by one function of the generator only, which is the same in every version of Python."""

    def __init__(self, seed):
        self.random = random.Random(seed).random

    def chance(self, share):
        return self.random() < share

    def among(self, values):
        return values[int(self.random() * len(values))]

    def some(self, values, most):
        """At most so many of the values, in their order."""
        count = int(self.random() * (most + 1))
        kept = sorted(((self.random(), place) for place in range(len(values))))[:count]
        return [values[place] for _, place in sorted(kept, key=lambda pair: pair[1])]

    def between(self, low, high):
        return low + (high - low) * self.random()

    def whole(self, low, high):
        return int(self.between(low, high + 1))

    def arriving(self, rows, share, seconds_max):
        """The rows in the order of their times, some of them behind rows that are up to `seconds_max` later."""
        def arrives(row):
            delay = self.between(0, seconds_max) if self.chance(share) else 0
            return instant(row["at"]) + timedelta(seconds=delay)

        return [row for _, _, row in sorted((arrives(row), place, row) for place, row in enumerate(rows))]


def text(moment):
    return moment.isoformat(timespec="seconds").replace("+00:00", "Z")


def instant(written):
    return datetime.fromisoformat(written.replace("Z", "+00:00"))


def fraud():
    """Card transactions, what is known of their users, and of their merchants; some of either are unknown."""
    sample = Sample(1)
    countries = ["DE", "DE", "DE", "FR", "NL", "US", "SG"]
    categories = ["groceries", "groceries", "electronics", "travel", "gift cards", "crypto"]
    users = [
        {
            "user_id": f"u{number:03}",
            "home_country": sample.among(countries),
            "risk_score": round(sample.random() ** 3, 2),
            "blocked": sample.chance(0.05),
        }
        for number in range(60)
    ]
    merchants = [
        {
            "merchant_id": f"m{number:02}",
            "name": f"{sample.among(['Nord', 'Alto', 'Blue', 'Kern', 'Vela'])} {sample.among(['Market', 'Trade', 'Shop'])}",
            "category": sample.among(categories),
            "chargeback_rate": round(0.03 * sample.random() ** 2, 4),
        }
        for number in range(20)
    ]
    transactions = []
    now = START
    for number in range(300):
        now += timedelta(seconds=sample.whole(0, 20))
        user = sample.whole(0, 64)  # u060 to u064 are nobody
        home = users[user]["home_country"] if user < len(users) else "DE"
        transactions.append(
            {
                "transaction_id": f"t{number:04}",
                "user_id": f"u{user:03}",
                "merchant_id": f"m{sample.whole(0, 20):02}",  # m20 is unknown
                "amount": f"{max(0.0, round(sample.random() ** 4 * 1500 - 2, 2)):.2f}",
                "country": home if sample.chance(0.85) else sample.among(countries),
                "at": text(now),
            }
        )
    return {"transactions": sample.arriving(transactions, 0.1, 20), "users": users, "merchants": merchants}


def personalization():
    """Views of a shop's products, the interests of its users, its products, and the best sellers of each category."""
    sample = Sample(2)
    tags = ["outdoor", "running", "cooking", "vegan", "audio", "vintage", "kids", "travel"]
    categories = ["shoes", "kitchen", "headphones", "bags", "books"]
    products = [
        {
            "product_id": f"p{number:02}",
            "name": f"{sample.among(['Trail', 'City', 'Home', 'Classic', 'Pro'])} {categories[number % 5]} {number}",
            "category": categories[number % 5],
            "tags": sample.some(tags, 4),
        }
        for number in range(40)
    ]
    users = [
        {
            "user_id": f"u{number:02}",
            "interests": None if sample.chance(0.1) else sample.some(tags, 4),
            "segments": sample.some(["new", "vip", "newsletter"], 2),
        }
        for number in range(30)
    ]
    # Nobody has counted the books yet.
    bestsellers = [
        {"category": name, "product_ids": [f"p{place + 5 * sample.whole(0, 3):02}", f"p{place + 5 * 4:02}", f"p{place + 25:02}"]}
        for place, name in enumerate(categories[:4])
    ]
    views = []
    now = START
    for number in range(150):
        now += timedelta(seconds=sample.whole(1, 40))
        views.append(
            {
                "view_id": f"v{number:04}",
                "user_id": None if sample.chance(0.15) else f"u{sample.whole(0, 31):02}",  # u30 and u31 are unknown
                "product_id": f"p{sample.whole(0, 40):02}",  # p40 is unknown
                "at": text(now),
            }
        )
    return {"views": views, "users": users, "products": products, "bestsellers": bestsellers}


def iot():
    """A reading of each metric of each device a minute, alarms, what the devices are, and what their models may read."""
    sample = Sample(3)
    usual = {"temperature": 60.0, "vibration": 2.0}
    models = ["pump-a", "pump-b", "fan"]
    devices = [
        {"device_id": f"d{number}", "model": models[number % 3], "site": sample.among(["Hamburg", "Rotterdam"])}
        for number in range(8)  # d8 and d9 are not registered
    ]
    limits = [
        {"model": model, "metric": metric, "unit": unit, "low": low, "high": round(usual[metric] * factor, 1)}
        for model, factor in (("pump-a", 1.3), ("pump-b", 1.2))  # nobody has set the fans' yet
        for metric, unit, low in (("temperature", "°C", 10.0), ("vibration", "mm/s", 0.1))
    ]
    readings = []
    for minute in range(60):
        for number in range(10):
            for metric, value in usual.items():
                at = START + timedelta(minutes=minute, seconds=sample.whole(0, 59))
                reading = round(value * sample.between(0.6, 1.35), 2)
                readings.append({"device_id": f"d{number}", "metric": metric, "value": reading, "at": text(at)})
    alarms = [
        {
            "alarm_id": f"a{number:02}",
            "device_id": f"d{sample.whole(0, 11)}",  # d10 and d11 never read anything
            "severity": sample.among(["info", "warning", "critical"]),
            "at": text(START + timedelta(seconds=sample.whole(-300, 3900))),
        }
        for number in range(25)
    ]
    readings.sort(key=lambda row: row["at"])
    return {
        "readings": sample.arriving(readings, 0.1, 25),
        "alarms": sample.arriving(alarms, 0.3, 25),
        "devices": devices,
        "limits": limits,
    }


def orders():
    """Orders, their payments and shipments, and customers. Some orders are never paid, some come in two parcels."""
    sample = Sample(4)
    names = ["Ada", "Grace", "Edsger", "Barbara", "Donald", "Frances", "Alan", "Radia", "Tony", "Margaret"]
    customers = [
        {"customer_id": f"c{number}", "name": name, "tier": "gold" if sample.chance(0.3) else "standard"}
        for number, name in enumerate(names)
    ]
    tables = {"orders": [], "payments": [], "shipments": []}
    now = START

    def add(table, at, **row):
        tables[table].append({**row, "at": text(at)})

    for number in range(120):
        now += timedelta(minutes=sample.whole(5, 90))
        order = f"o{number:04}"
        total = f"{sample.between(5, 400):.2f}"
        add("orders", now, order_id=order, customer_id=f"c{sample.whole(0, 10)}", total=total)  # c10 is unknown
        if sample.chance(0.1):
            continue
        # A wallet pays before the shop has written the order; a bank takes days, in some cases more than a week.
        method = sample.among(["card", "card", "wallet", "transfer"])
        hours = {"card": sample.between(0, 1), "wallet": -sample.between(0, 0.2), "transfer": sample.between(24, 200)}
        paid = now + timedelta(hours=hours[method])
        add("payments", paid, payment_id=f"p{number:04}", order_id=order, method=method, amount=total)
        for parcel in range(sample.among([0, 1, 1, 1, 2])):
            sent = paid + timedelta(hours=sample.between(2, 60))
            carrier = sample.among(["DHL", "UPS", "GLS"])
            add("shipments", sent, parcel_id=f"{order}-{parcel}", order_id=order, carrier=carrier)
    for rows in tables.values():
        rows.sort(key=lambda row: row["at"])
    late = {table: sample.arriving(rows, 0.1, 1500) for table, rows in tables.items()}
    return {**late, "customers": customers}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--to", type=Path, required=True, help="folder to write to")
    arguments = parser.parse_args()
    for pipeline in (fraud, personalization, iot, orders):
        folder = arguments.to / pipeline.__name__
        folder.mkdir(parents=True, exist_ok=True)
        for table, rows in pipeline().items():
            lines = [json.dumps(row, ensure_ascii=False, separators=(",", ":")) + "\n" for row in rows]
            (folder / f"{table}.ndjson").write_text("".join(lines), encoding="utf-8")


if __name__ == "__main__":
    main()

"""Reads the event files of a run with TensorBoard's own reader, and holds them against log.jsonl.

    python parity/tensorboard_check.py RUN
"""

import json
import pathlib
import sys

from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

run = pathlib.Path(sys.argv[1])
events = EventAccumulator(str(run), size_guidance={"scalars": 0, "images": 0})
events.Reload()

log = [json.loads(line) for line in (run / "log.jsonl").read_text().splitlines()]
names = set(log[0]) - {"step", "seconds"}
assert set(events.Tags()["scalars"]) == names, (events.Tags()["scalars"], names)
for name in sorted(names):
    found = {event.step: event.value for event in events.Scalars(name)}
    logged = {line["step"]: line[name] for line in log}
    assert found.keys() == logged.keys(), (name, sorted(found.keys() ^ logged.keys()))
    assert all(abs(found[step] - logged[step]) <= 1e-6 * abs(logged[step]) for step in logged), name
print(f"{len(names)} scalars at {len(log)} steps are those of log.jsonl")

previews = sorted((run / "samples").glob("step-*.png"))
images = {event.step: event for event in events.Images("samples")} if previews else {}
assert len(images) == len(previews), (sorted(images), previews)
for path in previews:
    event = images[int(path.stem.removeprefix("step-"))]
    assert event.encoded_image_string == path.read_bytes(), path
    assert event.width > 0 and event.height > 0
print(f"{len(previews)} pictures are those of samples/")

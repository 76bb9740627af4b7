"""Results as one line, and as a table in Markdown."""

import statistics


def median(side):
    return statistics.median(side["seconds"])


def timed(outcome):
    """PyTorch's variants that ran."""
    return {name: side for name, side in outcome["sides"].items() if name != "genera" and "seconds" in side}


def best_eager(outcome):
    eager = {name: side for name, side in timed(outcome).items() if name != "compile"}
    return min(eager, key=lambda name: median(eager[name])) if eager else None


def ratio(outcome, against):
    """How many times faster than `against`: of the medians, and the least and most of the single rounds."""
    ours, theirs = outcome["sides"]["genera"]["seconds"], outcome["sides"][against]["seconds"]
    rounds = [b / a for a, b in zip(ours, theirs)]
    return statistics.median(theirs) / statistics.median(ours), min(rounds), max(rounds)


def growth(side):
    """Memory above what the process held before the network was made: libraries do not count."""
    return side["peak"] - side["before"]


def line(outcome):
    parts = [f"genera {milliseconds(outcome['sides']['genera'])} ms"]
    parts += [
        f"{name} {milliseconds(side)} ms ({ratio(outcome, name)[0]:.2f}x)" for name, side in timed(outcome).items()
    ]
    return ", ".join(parts)


def milliseconds(side):
    return f"{median(side) * 1e3:.3g}"


def with_spread(side):
    times = [time * 1e3 for time in side["seconds"]]
    return f"{statistics.median(times):.3g} ({min(times):.3g}–{max(times):.3g})"


def markdown(results):
    machine, peak = results["machine"], results["peak"]
    lines = [
        f"{machine['processor']} ({', '.join(machine['vectors'])}), {machine['threads']} threads, PyTorch "
        f"{machine['torch']}. Milliseconds a step: median over rounds (least–most). Ratio: PyTorch's best eager variant "
        f"over Genera, of the medians (of single rounds). FMA peak: {peak['one']:.0f} GFLOP/s with one thread, "
        f"{peak['all']:.0f} with all; operations are counted in direct form, so that Winograd's algorithm can pass 100 %.",
        "",
        "Others: the share of the processors' time that went to other programs meanwhile; near zero on a quiet machine.",
        "",
        "| case | Genera | eager | channels-last | compile | ratio | to compile | of peak | others |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for name, outcome in results["cases"].items():
        sides, best = outcome["sides"], best_eager(outcome)
        cells = []
        for variant in ("eager", "channels-last", "compile"):
            side = sides.get(variant)
            cells.append("" if side is None else with_spread(side) if "seconds" in side else "fails")
        versus = "{:.2f} ({:.2f}–{:.2f})".format(*ratio(outcome, best)) if best else ""
        compiled = f"{ratio(outcome, 'compile')[0]:.2f}" if "seconds" in sides.get("compile", {}) else ""
        rate = outcome["flops"] / median(sides["genera"]) * 1e-9
        share = f"{rate / peak['all']:.0%}" if outcome["flops"] else ""
        cells = [with_spread(sides["genera"]), *cells, versus, compiled, share, f"{outcome['others']:.0%}"]
        lines.append(f"| {name} | {' | '.join(cells)} |")
    lines += [
        "",
        "For `adamw-10m`, eager is the fused and channels-last the foreach implementation.",
        "",
        "Peak memory in MiB, above what the process held before the network was made (in parentheses the whole process).",
        "",
        "| case | Genera | eager | channels-last | ratio to the least |",
        "|---|---|---|---|---|",
    ]
    for name, outcome in results["cases"].items():
        sides = outcome["sides"]
        eager = [growth(side) for variant, side in timed(outcome).items() if variant != "compile"]
        cell = lambda side: "" if side is None else f"{growth(side) / 2**20:.0f} ({side['peak'] / 2**20:.0f})"
        share = f"{growth(sides['genera']) / min(eager):.2f}" if eager else ""
        cells = " | ".join(cell(sides.get(variant)) for variant in ("genera", "eager", "channels-last"))
        lines.append(f"| {name} | {cells} | {share} |")
    failures = [(name, o["sides"]["compile"]["failed"]) for name, o in results["cases"].items() if "failed" in o["sides"].get("compile", {})]
    lines += [""] + [f"torch.compile fails on {name}: {why}" for name, why in failures]
    return "\n".join(lines).rstrip() + "\n"

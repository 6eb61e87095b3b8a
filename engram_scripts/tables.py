"""How an evaluation reads on a screen: one section a question, a table, and a line that says whether a part pays.

It must not compute anything: it lays out the report that `engram_scripts.report` gathers.
"""

from __future__ import annotations

from typing import Any

from engram_scripts.common import paint, table

SAMPLES = 5
FEW_WORDS = 5_000


def show(found: dict[str, Any]) -> str:
    """The whole report as text."""
    sections = [
        _head(found), _overall(found), _parts(found), _loops(found), _frequency(found), _surprise(found),
        _coherence(found["coherence"]), _questions(found["questions"]),
    ]  # fmt: skip
    return "\n\n".join(section for section in sections if section)


def _title(text: str) -> str:
    return paint(text, "1") + "\n" + "-" * len(text)


def _number(value: float | None, digits: int = 2) -> str:
    return "-" if value is None else f"{value:,.{digits}f}"


def _percent(share: float | None) -> str:
    return "-" if share is None else f"{100 * share:.1f} %"


def _head(found: dict[str, Any]) -> str:
    brain, text = found["brain"], found["text"]
    unknown = text["unknown_words"] / text["words"]
    rows = [
        ("brain", f"{brain['directory']}  (training text {str(brain['data_fingerprint'])[:12]})"),
        ("it knows", f"{brain['vocabulary']:,} words, {brain['stored_episodes']:,} stored episodes"),
        ("text", ", ".join(text["files"])),
        ("", f"{text['words']:,} words in {text['texts']:,} texts, {text['bytes']:,} bytes"),
        ("", f"{_percent(unknown)} of the words are unknown to the brain and count as <UNK>"),
        ("took", f"{found['seconds']:,.0f} s, seed {found['seed']}"),
    ]
    width = max(len(name) for name, _ in rows)
    return "\n".join(f"{name.ljust(width)}  {value}" for name, value in rows)


def _overall(found: dict[str, Any]) -> str:
    overall = found["overall"]
    baseline = overall["baseline"] or {"order": 5, "perplexity": None, "bits_per_byte": None, "ratio": None}
    rows = [
        ("perplexity", _number(overall["perplexity"]), _number(baseline["perplexity"]), _number(baseline["ratio"])),
        ("bits per byte of the text", _number(overall["bits_per_byte"], 3), _number(baseline["bits_per_byte"], 3), ""),
        ("the best word was right", _percent(overall["top1"]), "", ""),
        ("among the five best", _percent(overall["top5"]), "", ""),
        ("perplexity remembering what it reads", _number(overall["perplexity_remembering_what_it_reads"]), "", ""),
        ("  remembering only surprises", _number(overall["perplexity_remembering_surprises"]), "", ""),
    ]
    header = ("", "this brain", f"Kneser-Ney {baseline['order']}-gram", "ratio")
    share = _percent(overall["share_remembered_as_surprising"])
    return "\n".join([
        _title("How well it expects the next word"), table(rows, header), "",
        "Perplexity: among how many equally likely words it seems to guess; lower is better. The first line has every",
        "memory on but that of this very reading; with that memory, each word is scored first and remembered after.",
        f"A surprise reaches 1.5 times the running mean ({share} of the words). Kneser-Ney: the brain's own phrase",
        "counts alone. Bits per byte are approximate: capitals, layout and the spelling of unknown words are free.",
    ])  # fmt: skip


def _parts(found: dict[str, Any]) -> str:
    rows = []
    for part in found["parts"]:
        likely = part["percent_range"]
        rows.append((
            part["label"], _number(part["perplexity_without"]), _number(part["perplexity_with"]),
            f"{part['change_percent']:+.1f} %", "" if likely is None else f"{likely[0]:+.1f} .. {likely[1]:+.1f}",
            _verdict(part, found["loops"]["share_saved"]),
        ))  # fmt: skip
    header = ("part", "without", "with", "perplexity", "likely", "verdict")
    notes = "Each part is switched off alone, on the same words; likely: two standard errors either way, in percent."
    return "\n".join([_title("Does each part pay?"), table(rows, header), "", notes])


def _verdict(part: dict[str, Any], saved: float) -> str:
    if part["name"] == "halting":
        return f"saves {_percent(saved)} of the loops"
    return str(part["verdict"])


def _loops(found: dict[str, Any]) -> str:
    loops = found["loops"]
    if loops["most"] == 1:
        return ""
    total = found["text"]["words"]
    fixed = [
        (f"always {n}", _number(float(n)), _number(value), _percent(words / total))
        for n, (value, words) in enumerate(zip(loops["by_loops"], loops["words_by_loops"], strict=True), 1)
    ]
    rows = [*fixed, ("learned halting", _number(loops["mean"]), _number(loops["perplexity"]), "")]
    header = ("loops", "mean", "perplexity", "words that halt there")
    easy, hard = found["frequency_bands"][-1], found["frequency_bands"][0]
    calm, shaken = found["surprise_bands"][0], found["surprise_bands"][-1]
    return "\n".join([
        _title("Thinking longer"), table(rows, header), "",
        f"Learned halting saves {_percent(loops['share_saved'])} of the loops of always {loops['most']}.",
        f"Common words ({easy['band']}) take {_number(easy['mean_loops'])} loops, {hard['band']} "
        f"{_number(hard['mean_loops'])};",
        f"expected words ({calm['band']}) take {_number(calm['mean_loops'])}, surprising ones ({shaken['band']}) "
        f"{_number(shaken['mean_loops'])}.",
    ])  # fmt: skip


def _frequency(found: dict[str, Any]) -> str:
    rows = [
        (band["band"], _percent(band["share"]), _number(band["perplexity"], 1),
         _number(band["baseline_perplexity"], 1), _number(band["perplexity_remembering"], 1),
         _percent(band["top1"]), _percent(band["top5"]), _number(band["mean_loops"]))
        for band in found["frequency_bands"]
    ]  # fmt: skip
    header = ("met in training", "words", "perplexity", "Kneser-Ney", "remembering", "top 1", "top 5", "loops")
    return _title("Common and rare words") + "\n" + table(rows, header)


def _surprise(found: dict[str, Any]) -> str:
    rows = [
        (band["band"], _percent(band["share"]), _number(band["perplexity"], 1),
         _number(band["perplexity_remembering"], 1), _percent(band["top1"]), _percent(band["top5"]),
         _number(band["mean_loops"]))
        for band in found["surprise_bands"]
    ]  # fmt: skip
    header = ("surprise", "words", "perplexity", "remembering", "top 1", "top 5", "loops")
    return _title("Expected and surprising words") + "\n" + table(rows, header)


def _coherence(found: dict[str, Any]) -> str:
    title = _title("Do its replies read like real text?")
    if found["missing"]:
        return f"{title}\nn/a: {found['missing']}"
    rows = [
        ("its replies", _number(found["replies_perplexity"], 1)),
        (f"real {found['kind']} ({found['real_passages']:,})", _number(found["real_perplexity"], 1)),
        ("its replies, words shuffled", _number(found["shuffled_perplexity"], 1)),
    ]
    lines = [
        title, table(rows, ("", "perplexity under the judge")), "",
        f"The judge is a 5-gram that shares nothing with the brain, fitted on {found['judge_fitted_on']} "
        f"({found['judge_words']:,} words).",
        "About as low as real text is right; far lower is repetition or phrases by rote, far higher is salad.",
    ]  # fmt: skip
    if found["judge_words"] < FEW_WORDS:
        lines.append(f"Fewer than {FEW_WORDS:,} words make a poor judge: take it as a hint, or give --baseline-text.")
    return "\n".join([*lines, *_copies(found), "", *_samples(found["replies"])])


def _copies(found: dict[str, Any]) -> list[str]:
    copied = found["copied"]
    if copied is None:
        return [f"Copied from the training text: {found['learned_text']}"]
    mine, real = copied["replies"], copied["real"]
    return [
        f"Longest run of words copied from the training text ({found['learned_text']}): {mine['longest']} words, "
        f'"{mine["longest_text"]}";',
        f"on average {_number(mine['mean'], 1)} words a reply, {_percent(mine['share_copied_whole'])} of the replies "
        f"whole. Real text: longest {real['longest']}, on average {_number(real['mean'], 1)}.",
    ]


def _samples(replies: list[dict[str, str]]) -> list[str]:
    step = max(1, len(replies) // SAMPLES)
    return [f"  {one['prompt']}  ->  {one['reply']}" for one in replies[::step][:SAMPLES]]


def _questions(found: dict[str, Any] | None) -> str:
    if found is None:
        return ""
    lines = []
    for one in found["asked"]:
        mark = paint("yes", "32") if one["answered"] else paint("no ", "31")
        wanted = "" if one["answered"] else f"   (wanted: {' or '.join(one['answers'])})"
        lines.append(f"{mark}  {one['question']}  ->  {one['reply']}{wanted}")
    asked = found["asked"]
    right = sum(one["answered"] for one in asked)
    share = f"Answered: {right} of {len(asked)} ({_percent(found['share_answered'])})"
    alone = f"without the {found['lessons']:,} lessons read again: {_percent(found['share_answered_without_lessons'])}"
    return "\n".join([_title("Questions"), *lines, "", f"{share}, at temperature {found['temperature']}; {alone}."])

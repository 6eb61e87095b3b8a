"""The four tabs of the page - talk, teach, memory, map - and what their controls do.

It must not know how a brain is found or trained. Everything that thinks runs one after the other (`SERIAL`), for a
visitor's conversation is not made for two threads and the machine has few cores.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import gradio as gr

from engram_model.errors import EngramError
from engram_model.text import split_words
from engram_scripts import web_cards
from engram_scripts.web_map import concept_map
from engram_scripts.web_session import TALKING, Visitors, drawing
from engram_scripts.web_strip import legend, safe, strip_end, strip_item

EXAMPLES = (
    "Hello!",
    "What is the capital of France?",
    "Who bakes the bread in Fernby?",
    "Why is the sky blue?",
    "My name is Mila.",
    "What is my name?",
    "Tell me a story.",
)
LONGEST_LINE = 1_000
MOST_SEED = 2**31 - 1
SERIAL: dict[str, Any] = {
    "concurrency_id": "mind",
    "concurrency_limit": 1,
    "api_visibility": "private",
    "show_progress": "hidden",
}
COLUMNS = ["forget", "heard", "next word", "surprise", "conversation", "time (UTC)", "id"]
KINDS: list[Any] = ["bool", "str", "str", "number", "str", "str", "str"]
WIDTHS: list[str | int] = ["100px", "400px", "150px", "110px", "130px", "120px", "130px"]
STRIP = f"<h3>How the last answer came about {legend()}</h3><div class='strip'>${{value}}</div>"


def controls() -> list[gr.components.Component]:
    """Sliders and switches, in the order of `drawing`."""

    def slider(low: float, high: float, value: float, step: float, label: str, info: str) -> gr.Slider:
        return gr.Slider(low, high, value, step=step, label=label, info=info, buttons=[])

    return [
        slider(0.05, 2.0, TALKING.temperature, 0.05, "Temperature", "low: the best word"),
        slider(0, 50, TALKING.top_k, 1, "Candidates", "0: all words"),
        slider(5, 120, TALKING.max_words, 1, "Most words", "in an answer"),
        gr.Radio(["auto", "1", "2", "3"], value="auto", label="Loops", info="how long it ponders", elem_id="loops"),
        gr.Number(TALKING.seed, label="Seed", precision=0, minimum=0, maximum=MOST_SEED, info="same seed, same words"),
        gr.Checkbox(True, label="Phrase memory", info="counted phrases and their tables", elem_id="phrases"),
        gr.Checkbox(True, label="Episodes", info="moments of this visit", elem_id="episodes"),
        gr.Checkbox(True, label="Lessons", info="exchanges it has read", elem_id="lessons"),
    ]


def inert(transcript: list[dict[str, str]]) -> list[dict[str, str]]:
    """The transcript with everything escaped, for a Chatbot shows tags even where it reads no Markdown."""
    return [{"role": line["role"], "content": safe(line["content"])} for line in transcript]


def answering(visitors: Visitors) -> Callable[..., Iterator[tuple[Any, Any, str]]]:
    """The handler of a sent line: streams the transcript and the strip, and clears the box."""

    def answer(key: str, text: str, *settings: Any) -> Iterator[tuple[Any, Any, str]]:
        visitor, line, items = visitors.visit(key), text.strip()[:LONGEST_LINE], ""
        if not split_words(line):
            yield gr.skip(), gr.skip(), ""
            return
        moments = {episode.id: episode for episode in visitor.memory.episodes}
        try:
            for thought, piece in visitor.answer(line, drawing(*settings)):
                items += strip_item(thought, piece.strip() or thought.word, moments, visitor.vocabulary.forms)
                yield inert(visitor.transcript), items, ""
            items += strip_end(visitor.chat.history[-1])
        except EngramError as error:
            gr.Warning(safe(str(error)))
        yield inert(visitor.transcript), items, ""

    return answer


def talk_tab(visitors: Visitors, key: gr.State) -> None:
    """Chat, strip of the last answer, example lines, controls."""
    with gr.Row(elem_classes="talk"):
        with gr.Column(scale=7, min_width=320):
            chatbot = gr.Chatbot(
                height=330, show_label=False, render_markdown=False, buttons=[], layout="bubble", elem_id="chat",
                feedback_options=None, placeholder="Say something, or click one of the lines below.",
            )  # fmt: skip
            box = gr.Textbox(
                placeholder="Say something", show_label=False, submit_btn=True, autofocus=True, elem_id="box",
                max_length=LONGEST_LINE, lines=1, max_lines=4,
            )  # fmt: skip
            with gr.Row(elem_classes="examples"):
                examples = [gr.Button(line, size="sm", variant="secondary", min_width=60) for line in EXAMPLES]
            strip = gr.HTML("", html_template=STRIP, apply_default_css=False, elem_id="strip")
        with gr.Column(scale=2, min_width=250), gr.Accordion("How words are drawn", open=True, elem_id="controls"):
            settings = controls()
            fresh = gr.Button("New conversation", size="sm", elem_id="fresh")
            gr.HTML("<small>Your words and episodes stay.</small>")
    answer, outputs = answering(visitors), [chatbot, strip, box]
    box.submit(answer, [key, box, *settings], outputs, **SERIAL)
    for example in examples:
        example.click(answer, [key, example, *settings], outputs, **SERIAL)

    def begin(key: str) -> tuple[list[Any], str]:
        visitors.visit(key).begin_talk()
        return [], ""

    gr.on([fresh.click, chatbot.clear], begin, key, [chatbot, strip], **SERIAL)


def teach_tab(visitors: Visitors, key: gr.State) -> None:
    """A word with its definition, or a fact with a question; each shows before and after."""

    def teach_word(key: str, word: str, definition: str) -> str:
        try:
            return web_cards.word_lesson(visitors.visit(key).teach_word(word[:60], definition[:LONGEST_LINE]))
        except EngramError as error:
            return web_cards.refused(str(error))

    def teach_fact(key: str, fact: str, question: str) -> str:
        try:
            return web_cards.fact_lesson(visitors.visit(key).teach_fact(fact[:LONGEST_LINE], question[:LONGEST_LINE]))
        except EngramError as error:
            return web_cards.refused(str(error))

    with gr.Row(equal_height=False):
        with gr.Column(min_width=320):
            gr.HTML("<h3>Teach a word</h3><p>It gets a vector from the words of its definition.</p>", padding=True)
            word = gr.Textbox("zorple", label="Word", elem_id="word")
            definition = gr.Textbox("a sweet cake with honey and flour", label="Definition", elem_id="definition")
            button = gr.Button("Teach", variant="primary", elem_id="teach")
            result = gr.HTML(apply_default_css=False, elem_id="word-lesson")
            gr.on([button.click, definition.submit], teach_word, [key, word, definition], result, **SERIAL)
        with gr.Column(min_width=320):
            gr.HTML("<h3>Tell a fact</h3><p>What surprises it becomes episodes; no weight changes.</p>", padding=True)
            fact = gr.Textbox("My favourite colour is silver.", label="Fact", elem_id="fact")
            question = gr.Textbox("What is my favourite colour?", label="Question, asked before and after")
            button = gr.Button("Tell", variant="primary", elem_id="tell")
            result = gr.HTML(apply_default_css=False, elem_id="fact-lesson")
            gr.on([button.click, question.submit], teach_fact, [key, fact, question], result, **SERIAL)


def memory_tab(visitors: Visitors, key: gr.State, tab: gr.Tab) -> None:
    """The visitor's episodes as a table, and forgetting chosen ones."""

    def rows(key: str) -> tuple[Any, str]:
        found = visitors.visit(key).episode_rows()
        count = "1 episode" if len(found) == 1 else f"{len(found):,} episodes"
        return found, f"<p><b>{count}</b> of this visit. Tick what to forget. Nobody else sees or recalls them.</p>"

    def forget(key: str, shown: list[list[Any]]) -> tuple[Any, str]:
        memory = visitors.visit(key).memory
        chosen = {str(row[-1]) for row in shown if str(row[0]).lower() == "true"}
        memory.forget(*(episode.id for episode in list(memory.episodes) if episode.id in chosen))
        return rows(key)

    note = gr.HTML(padding=True, elem_id="memory-note")
    table = gr.Dataframe(
        headers=COLUMNS, datatype=KINDS, type="array", interactive=True, static_columns=[1, 2, 3, 4, 5, 6],
        show_label=False, wrap=True, column_widths=WIDTHS, max_height=460, buttons=[], elem_id="memory",
    )  # fmt: skip
    button = gr.Button("Forget the ticked episodes", variant="primary", elem_id="forget")
    button.click(forget, [key, table], [table, note], **SERIAL)
    tab.select(rows, key, [table, note], **SERIAL)


def map_tab(visitors: Visitors, key: gr.State, tab: gr.Tab) -> None:
    """The map of concepts, with one word and its nearest words shown on request."""

    def draw(key: str, word: str) -> str:
        visitor, words = visitors.visit(key), split_words(word[:60])
        return concept_map(visitor.vocabulary, visitor.taught, words[0] if words else "")

    focus = gr.Textbox("bread", label="Show a word and its nearest", elem_id="focus", submit_btn=True, max_lines=1)
    picture = gr.HTML(
        html_template="<div class='map'>${value}</div><p>The commonest words on the plane in which their vectors vary "
        "most. Hover a dot to read its word. <i class='swatch near'></i>nearest in all dimensions "
        "<i class='swatch taught'></i>taught by you</p>",
        apply_default_css=False,
        elem_id="map",
    )
    focus.submit(draw, [key, focus], picture, **SERIAL)
    tab.select(draw, [key, focus], picture, **SERIAL)

"""The page: waits while a brain is trained, then lets the visitor in to the tabs.

It must not know what the tabs do, nor where the brain lies on disk.
"""

from __future__ import annotations

from typing import Any

import gradio as gr

from engram_scripts import web_cards
from engram_scripts.web_session import Visitors
from engram_scripts.web_tabs import map_tab, memory_tab, talk_tab, teach_tab
from engram_scripts.web_training import BackgroundTraining, stage_html

LOOK_EVERY = 1.0
QUIET: dict[str, Any] = {"api_visibility": "private", "show_progress": "hidden"}
SWITCH_LIGHT = "() => { document.body.classList.toggle('dark'); }"


def theme() -> gr.themes.Base:
    """Colours and the font, which the page's own server delivers."""
    return gr.themes.Base(
        primary_hue="indigo",
        neutral_hue="slate",
        radius_size="lg",
        font=[gr.themes.utils.fonts.LocalFont("IBM Plex Sans", weights=(400, 700)), "sans-serif"],
        font_mono=[gr.themes.utils.fonts.LocalFont("IBM Plex Mono", weights=(400,)), "monospace"],
    )


def page(visitors: Visitors, training: BackgroundTraining | None) -> gr.Blocks:
    """Build the page.

    Args:
        visitors: Who is let in; closed as long as the brain is trained.
        training: The run to show meanwhile, or None where there is a brain.
    """
    with gr.Blocks(title="Engram", analytics_enabled=False) as built:
        key = gr.State(None, delete_callback=visitors.leave)
        with gr.Row(elem_classes="top"):
            head = gr.HTML(web_cards.head(visitors.engram), apply_default_css=False, elem_id="head")
            light = gr.Button("◐", size="sm", min_width=40, elem_id="light")
        light.click(None, js=SWITCH_LIGHT)
        with gr.Column(visible=False) as waiting:
            progress = gr.HTML(apply_default_css=False, elem_id="progress")
        with gr.Column(visible=False) as inside, gr.Tabs():
            with gr.Tab("Talk"):
                talk_tab(visitors, key)
            with gr.Tab("Teach"):
                teach_tab(visitors, key)
            with gr.Tab("Memory") as tab:
                memory_tab(visitors, key, tab)
            with gr.Tab("Map") as tab:
                map_tab(visitors, key, tab)
        timer = gr.Timer(LOOK_EVERY, active=True)

        def arrive(key: str | None) -> tuple[Any, ...]:
            if visitors.engram is None:
                stage = training.stage if training is not None else None
                shown = stage_html(stage) if stage is not None else ""
                return key, gr.skip(), shown, gr.Column(visible=True), gr.skip(), gr.skip()
            return (
                key or visitors.arrive(), web_cards.head(visitors.engram), "",
                gr.Column(visible=False), gr.Column(visible=True), gr.Timer(active=False),
            )  # fmt: skip

        outputs = [key, head, progress, waiting, inside, timer]
        built.load(arrive, key, outputs, **QUIET)
        timer.tick(arrive, key, outputs, **QUIET)
    return built

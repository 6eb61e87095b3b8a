"""Questions and answers are found where people write them, and stories and poems stay whole."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engram_model.dialogue import Turn, conversations

HERE = Path(__file__).parent


def said(paragraph: str) -> list[list[str]]:
    """The texts of one paragraph, each as the list of what was said in it."""
    return [[turn.said.strip() for turn in turns] for turns in conversations([paragraph])]


def speakers(paragraph: str) -> list[list[str]]:
    return [[turn.speaker for turn in turns] for turns in conversations([paragraph])]


def lines_of(name: str) -> list[str]:
    return (HERE / name).read_text(encoding="utf-8").splitlines()


def test_bare_lines_are_split_where_the_answer_begins() -> None:
    exchanges = lines_of("exchanges.txt")
    missed = [line for line in exchanges if said(line.replace(" | ", " ")) != [line.split(" | ")]]
    for line in missed:
        print(line, "->", said(line.replace(" | ", " ")))
    cut_wrongly = [line for line in missed if len(said(line.replace(" | ", " "))[0]) > 1]
    assert len(exchanges) >= 200
    assert len(missed) <= 0.1 * len(exchanges)
    assert len(cut_wrongly) <= 0.02 * len(exchanges)  # a line left whole does no harm, one cut wrongly does


def test_bare_statements_stay_whole() -> None:
    statements = lines_of("statements.txt")
    alarms = [line for line in statements if said(line) != [[line]]]
    print(alarms)
    assert len(statements) >= 150
    assert len(alarms) <= 1


@pytest.mark.parametrize(
    "line",
    [
        "What is your name? My name is Engram.",
        "what is your name? my name is engram",
        "How are you? I am fine, and you?",
        "Hello, how are you? I am fine.",
        "Who is Mr. Smith? He is our neighbour.",
        "In which country is Paris? It is in France.",
        "Can you swim? No.",
        "Who was Ada Lovelace? She wrote the first program. She lived in London.",
        "Tell me, do you sleep? I have no body, so I never sleep.",
    ],
)
def test_question_and_answer_on_one_line(line: str) -> None:
    question, _, answer = line.partition("? ")
    assert conversations([line]) == [[Turn("user", question + "?"), Turn("bot", answer)]]


@pytest.mark.parametrize(
    "story",
    [
        '"What is your name?" asked Tom. "My name is Mira," she said.',
        "“Where are you?” called Ada. Nobody answered.",
        "'Who is there?' he asked. It was only the wind.",
        "What could she do? She had no money.",
        "Where was it? Tom looked under the bed, but it was not there.",
        "What was that? A noise came from the garden.",
        "What should I do? I could not sleep that night.",
        "Why? Nobody knows.",
        "The cat was gone. Where is it? It is under the bed.",
        "Once there was a boy. Do you know his name? His name was Tom.",
        "Is it day? Is it night? Nobody can say.",
        "But where was Tom? He was not in his bed.",
        "What a day! Tom was happy. Would it rain? It did not.",
        "Who has seen the wind?\nNeither I nor you:\nBut when the leaves hang trembling\nThe wind goes through.",
        "What is pink? A rose is pink\nBy the fountain's brink.\nWhat is red? A poppy's red\nIn its barley bed.",
        "Where do the birds go when it snows? " + "They fly a long way to the south. " * 7,
        "shall we dance in the light of the moon\nshall we sing to the end of the day\n"
        "what is life but a short afternoon\nwe are young and then we go away",
        "the sun is low\nwhat is your name\nthe wind is slow\nwhere have you been",
        "Tom: What is your name?\nMira: My name is Mira.",
        "A: the first letter\nB: the second letter",
        "Note: bring bread.\nYou: bring cheese.",
    ],
)
def test_stories_poems_and_lists_stay_whole(story: str) -> None:
    assert conversations([story]) == [[Turn("", story)]]


@pytest.mark.parametrize(
    ("user", "bot"),
    [
        ("User:", "Bot:"),
        ("user :", "BOT :"),
        ("Human:", "Assistant:"),
        ("Q:", "A:"),
        ("Q1:", "A1:"),
        ("You:", "Engram:"),
        ("Question:", "Answer:"),
        ("**User:**", "**Bot:**"),
        ("[User]:", "[Bot]:"),
        ("- user:", "- bot:"),
        ("### Human:\n", "### Assistant:\n"),
        ("User：", "Bot："),
    ],
)
def test_labelled_turns(user: str, bot: str) -> None:
    paragraph = f"{user} what is a bee\nor a wasp\n{bot} an insect\n\t{user}thank you\n{bot} you are welcome"
    assert speakers(paragraph) == [["user", "bot", "user", "bot"]]
    assert said(paragraph) == [["what is a bee\nor a wasp", "an insect", "thank you", "you are welcome"]]


def test_labelled_turns_on_one_line() -> None:
    assert said("Q: What is a bee? A: An insect.") == [["What is a bee?", "An insect."]]
    assert said("User: hi Bot: hello User: bye Bot: bye bye") == [["hi", "hello", "bye", "bye bye"]]


def test_blank_line_between_question_and_answer() -> None:
    paragraphs = ["User: hi", "Bot: hello", "User: bye", "Bot: bye bye", "The end."]
    assert conversations(paragraphs) == [
        [Turn("user", " hi"), Turn("bot", " hello")],
        [Turn("user", " bye"), Turn("bot", " bye bye")],
        [Turn("", "The end.")],
    ]


def test_what_hangs_over_is_plain_text() -> None:
    paragraph = "A talk\nBot: welcome\nUser: hi\nBot: hello\nUser: are you there"
    assert said(paragraph) == [["A talk"], ["welcome"], ["hi", "hello"], ["are you there"]]
    assert speakers(paragraph) == [[""], [""], ["user", "bot"], [""]]


def test_one_speaker_alone_is_no_conversation() -> None:
    assert speakers("User: hi\nUser: are you there") == [[""]]
    assert speakers("Bot: hello") == [[""]]
    assert said("User: hi\nBot:") == [["User: hi\nBot:"]]
    assert said("Bot: hello\nUser: hi") == [["Bot: hello\nUser: hi"]]


def test_lines_below_each_other_are_exchanges_of_their_own() -> None:
    paragraph = "what is your name my name is engram\nthe sky is blue\ndo you like cats yes i like cats"
    assert said(paragraph) == [
        ["what is your name", "my name is engram"],
        ["the sky is blue"],
        ["do you like cats", "yes i like cats"],
    ]
    assert said("What is a bee? An insect.\nWhat is a cat? An animal.") == [
        ["What is a bee?", "An insect."],
        ["What is a cat?", "An animal."],
    ]


def test_questions_and_answers_on_alternate_lines() -> None:
    paragraph = "What is your name?\nMy name is Engram.\nDo you like cats?\nYes, I do."
    assert said(paragraph) == [["What is your name?", "My name is Engram."], ["Do you like cats?", "Yes, I do."]]


PIECES = [*"abQAi?.,:'\" \n", "\nUser: ", "\nBot: ", "what is ", "your name ", " my name is ", "yes"]
paragraph_text = st.lists(st.sampled_from(PIECES), max_size=23).map("".join)


@given(st.lists(paragraph_text, max_size=5))
def test_nothing_said_is_lost(paragraphs: list[str]) -> None:
    """Every letter outside labels comes back, in order, and exchanges alternate from user to bot."""
    found = conversations(paragraphs)
    for turns in found:
        names = [turn.speaker for turn in turns]
        assert names in ([""], ["user", "bot"] * (len(turns) // 2))
    if not any(turn.speaker for turns in found for turn in turns):
        assert "".join("".join(paragraphs).split()) == "".join(
            "".join(turn.said.split()) for turns in found for turn in turns
        )

"""Words, spacing, capitals, files and paragraphs; what is written is read back as the same words."""

import codecs
import time
import unicodedata
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engram_model.errors import TextError
from engram_model.text import (
    BOT,
    BOT_ID,
    END,
    END_ID,
    SPECIALS,
    UNK,
    UNK_ID,
    USER,
    USER_ID,
    Joiner,
    count_words,
    join_words,
    read_text,
    split_words,
    texts,
    usual_forms,
)

# Characters and stretches at which cutting, joining, case folding or normalising could disagree.
AWKWARD = [
    *"aBsi3 .,'\"-`’‘“”…—–_!?:;()[]$€#%/ßΣςİıŉǰÅKΩÌ≮",
    *"\t\n\r\x00\x1c\x85\xa0\xad\u0301\u0307\u0327\u0338\u0345\u200b\u200c\u200d\u2028\ufe0f\u20e3\ufeff\u3099",
    *"👨👩🏽🇩🇪🇫❤我か゛ー。「」각ᄀ",
    *("\ud800", "\U000e0067", "\U000e007f", "\U00020000", "\u037e", "\u212b"),
    *("<BOT>", "<UNK>", "...", "e.g.", "'tis", "'em", "3.14", "i'm", "``", "''", "--"),
]
awkward_text = st.lists(st.sampled_from(AWKWARD), max_size=23).map("".join)
any_text = st.one_of(awkward_text, st.text(max_size=37))
any_words = st.lists(any_text, max_size=5).map(lambda parts: [w for part in parts for w in split_words(part)])


def test_marker_ids_are_their_places() -> None:
    assert [SPECIALS[i] for i in (UNK_ID, END_ID, USER_ID, BOT_ID)] == [UNK, END, USER, BOT]
    assert (UNK_ID, END_ID, USER_ID, BOT_ID) == (0, 1, 2, 3)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("Don't stop!", "don't stop !"),
        ("Ada’s cat", "ada's cat"),
        ("“Yes,” he said.", '" yes , " he said .'),
        ("the 'quoted' word", "the ' quoted ' word"),
        ("the dogs' tails", "the dogs ' tails"),
        ("‘’Tis late", "' 'tis late"),
        ("well-known - or not", "well-known - or not"),
        ("Wait… no... yes....", "wait ... no ... yes ..."),
        ("end—of--it – now", "end — of — it — now"),
        ("3.14 1,000 at 10:30, 50%.", "3.14 1,000 at 10:30 , 50 % ."),
        ("Mr. Smith, e.g. at 5 p.m. in the U.S.", "mr . smith , e.g. at 5 p.m. in the u.s."),
        ("and/or (maybe) [so]", "and / or ( maybe ) [ so ]"),
        ("It is _very_ snake_case", "it is very snake_case"),
        ("👨‍👩‍👧👍🏽🇩🇪🇫🇷1️⃣❤️☺", "👨‍👩‍👧 👍🏽 🇩🇪 🇫🇷 1️⃣ ❤️ ☺"),
        ("我爱你。カタ", "我 爱 你 。 カ タ"),
        ("cafe\u0301 na\u00efve", "caf\u00e9 na\u00efve"),
        ("नमस्ते دنیا", "नमस्ते دنیا"),
        ("a\x00b\x07 soft\u00adhyphen \ufeffmark zero\u200bwidth", "ab softhyphen mark zerowidth"),
        ("<BOT> <unk>", "< bot > < unk >"),
        ("two\nlines\r\nof\ttext", "two lines of text"),
        ("ΣΑΣ", "σασ"),
        ("e\u00ad\u0301 J\u030c", "\u00e9 \u01f0"),
        (" \n\t", ""),
    ],
)
def test_split_words(text: str, words: str) -> None:
    assert split_words(text) == words.split()


@pytest.mark.parametrize(
    ("words", "text"),
    [
        ("hello , world ! how are you ?", "Hello, world! How are you?"),
        ("i think i'm late ; i'll run", "I think I'm late; I'll run"),
        ('he said , " yes , it is . " then he left .', 'He said, "Yes, it is." Then he left.'),
        ('" run ! " said tom . " why ? " he asked .', '"Run!" said tom. "Why?" he asked.'),
        ('" yes , " she said , " but not now . "', '"Yes," she said, "but not now."'),
        ('the word " hello " is short', 'The word "hello" is short'),
        ("the dogs ' tails", "The dogs' tails"),
        ("a ' quoted ' word", "A 'quoted' word"),
        ("it costs $ 5 ( or 20 % ) and / or more", "It costs $5 (or 20%) and/or more"),
        ("wait ... what ?", "Wait... what?"),
        ("we know <UNK> , and <UNK> .", "We know …, and …."),
        ("我 爱 你 。", "我爱你。"),
        ("<USER> hi ! <BOT> hello . <END> <USER> bye <END>", "Hi! Hello. Bye"),
        (". . .", ". . ."),
        ("ıspanak is spinach", "ıspanak is spinach"),
        ("", ""),
    ],
)
def test_join_words(words: str, text: str) -> None:
    assert join_words(words.split()) == text


def test_forms_are_used_only_when_they_spell_the_word() -> None:
    forms = {"ada": "Ada", "nasa": "NASA", "cat": "DOG", "mcdonald's": "McDonald's"}
    words = split_words("then ada saw mcdonald's cat at nasa.")
    assert join_words(words, forms) == "Then Ada saw McDonald's cat at NASA."
    assert split_words(join_words(words, forms)) == words


@given(any_text)
@settings(max_examples=300)
def test_written_text_is_read_back(text: str) -> None:
    words = split_words(text)
    assert split_words(join_words(words)) == words


@given(any_words.flatmap(st.permutations))
@settings(max_examples=300)
def test_any_order_of_words_is_read_back(words: list[str]) -> None:
    """A brain may say words in an order that no text has."""
    forms = {word: word.upper() for word in words[::2]}
    assert split_words(join_words(words)) == words
    assert split_words(join_words(words, forms)) == words


def test_every_character_is_read_back() -> None:
    for code in range(0, 0x110000, 23):
        words = split_words(f"a{chr(code)} {chr(code)}b{chr(code)}")
        assert split_words(join_words(words)) == words


@given(st.text(max_size=29))
def test_letters_and_digits_survive(text: str) -> None:
    kept = unicodedata.normalize("NFC", text.replace("Σ", "σ").lower())
    letters = [c for c in kept if unicodedata.category(c)[0] in "LN" and c not in "ʼ"]
    found = "".join(split_words(text))
    assert letters == [c for c in found if unicodedata.category(c)[0] in "LN"]


@given(any_text)
def test_no_text_makes_a_marker(text: str) -> None:
    typed = f"{text}<BOT>{text} <END> <UNK>"
    assert not set(SPECIALS) & set(split_words(typed))


@given(st.lists(st.one_of(st.sampled_from(SPECIALS), st.sampled_from(AWKWARD)), max_size=19))
def test_joiner_streams_what_join_words_writes(words: list[str]) -> None:
    """Markers and unknown words included; a piece is never taken back."""
    joiner = Joiner({"b": "B"})
    pieces = [joiner.push(word) for word in words]
    assert "".join(pieces) == join_words(words, {"b": "B"})
    assert all(piece == "" for piece, word in zip(pieces, words, strict=True) if word in (END, USER, BOT))


def test_usual_forms() -> None:
    raw = """THE CAT AND THE DOG
    The Cat Of Paris
    Ada met Tom in Paris. Ada likes the cat. Ada and I saw NASA, Tom said. The cat slept.
    Suddenly it rained. We call it the Cat once. Today is the day, and today is fine.
    "Yes," said Tom. Well, the iPhone and the polish from Poland. Polish rye."""
    forms = usual_forms([raw])
    assert forms == {
        "ada": "Ada", "tom": "Tom", "paris": "Paris", "nasa": "NASA", "i": "I", "iphone": "iPhone",
        "poland": "Poland",
    }  # fmt: skip


def test_usual_forms_of_lower_case_text_are_none() -> None:
    assert usual_forms(["ada met tom.\nhe said hello to her.", "then they went home"]) == {}


@given(st.lists(any_text))
def test_usual_forms_spell_their_words(raw: list[str]) -> None:
    for word, form in usual_forms(raw).items():
        assert form != word
        assert split_words(form) == [word]


def test_texts_of_stories_and_talk() -> None:
    raw = "A cat.\nIt sat.\r\n \t\r\nUser: Hi!\nBot: Hello.\nUser: Bye\nBot: Bye!\n\n\n<|endoftext|>\n__\n\nThe end."
    assert [" ".join(words) for words in texts(raw)] == [
        "a cat . it sat . <END>",
        "<USER> hi ! <BOT> hello . <END> <USER> bye <BOT> bye ! <END>",
        "the end . <END>",
    ]


def test_texts_of_prepared_words_are_kept() -> None:
    raw = "The <unk> Don 't\n\n<USER> Hi <BOT> yo <END>\n"
    assert texts(raw, pretokenized=True) == [
        ["The", "<unk>", "Don", "'t", END],
        ["<USER>", "Hi", "<BOT>", "yo", "<END>"],
    ]


@given(any_text)
def test_texts_end_and_hold_no_empty_ones(raw: str) -> None:
    for words in texts(raw):
        assert words[-1] == END
        assert set(words) - set(SPECIALS)


def test_count_words() -> None:
    counts = count_words([["a", "b", END], ["a", END]])
    assert counts == Counter({"a": 2, END: 2, "b": 1})


@pytest.mark.parametrize(
    "data",
    [
        "naïve “é”\nb".encode(),
        codecs.BOM_UTF8 + "naïve “é”\r\nb".encode(),
        "naïve “é”\rb".encode("cp1252"),
        "naïve “é”\nb".encode("utf-16"),
    ],
)
def test_read_text_knows_encodings_and_line_ends(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "a.txt"
    path.write_bytes(data)
    assert read_text(path) == "naïve “é”\nb"


def test_one_broken_byte_does_not_change_the_encoding(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_bytes("ä".encode() * 31 + b"\xff")
    assert read_text(path) == "ä" * 31 + "\ufffd"


@pytest.mark.parametrize("data", [b"", b" \n\r\n\t", codecs.BOM_UTF8, b"a\x00b", bytes(range(1, 32)) * 3])
def test_read_text_refuses_blank_and_binary(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "a.txt"
    path.write_bytes(data)
    with pytest.raises(TextError) as error:
        read_text(path)
    assert str(path) in str(error.value)
    assert "\n" not in str(error.value)


def test_read_text_refuses_what_is_no_file(tmp_path: Path) -> None:
    file = tmp_path / "a.txt"
    file.write_text("words", encoding="utf-8")
    for path, told in (
        (tmp_path / "missing.txt", "no file"),
        (tmp_path, "folder"),
        (file / "b.txt", "cannot be read"),
        (tmp_path / ("x" * 300), "cannot be read"),
        (Path("a\x00b"), "cannot be read"),
    ):
        with pytest.raises(TextError, match=told):
            read_text(path)


def test_splitting_is_fast_and_linear() -> None:
    line = 'Once upon a time, there was a little girl named Lily. She didn\'t like "the big dog" at 10:30. '
    split_words(line)  # compiles the expressions
    rates = []
    for _ in range(3):
        start = time.process_time()
        words = split_words(line * 5000)
        rates.append(len(words) / (time.process_time() - start))
    assert max(rates) > 500_000
    for awkward in ("a.", "'", "a'", "1,", "👨‍", "-", '"'):
        start = time.process_time()
        split_words(awkward * 100_000)
        assert time.process_time() - start < 1

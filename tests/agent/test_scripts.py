"""Scripts that are written without blanks: found by parts of what was said, and nothing changes for the others."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engram_agent import database, index
from engram_agent.embedders import HashingEmbedder
from engram_agent.index import terms
from engram_agent.memory import Memory
from engram_agent.scripts import apart, together, words
from engram_agent.search import FLOORS
from engram_agent.summaries import summarise

SAID = (
    ("登录接口返回错误", "重启", "好"),
    ("支付回调偶尔丢失", "", ""),
    ("数据库连接池耗尽导致超时", "加大连接池", "恢复"),
    ("用API登录时token过期", "refresh the token", ""),
    ("ログイン画面でエラーが発生する", "サーバーを再起動した", ""),
    ("ระบบเข้าสู่ระบบไม่ได้", "รีสตาร์ทเซิร์ฟเวอร์", ""),
    ("ເຂົ້າສູ່ລະບົບບໍ່ໄດ້", "", ""),
    ("មិនអាចចូលប្រព័ន្ធបានទេ", "", ""),
    ("အကောင့်ဝင်၍မရပါ", "", ""),
)
TABLE = "SELECT rowid, * FROM words ORDER BY rowid"
LETTERS = "登录错误数据ログインที่นี่ການប្រမရ々ー 。ab1ＡBｶﾞé"


@pytest.fixture
def memory() -> Memory:
    memory = Memory(":memory:", explore=False)
    for context, action, result in SAID:
        memory.store(context, action, result)
    return memory


def first(memory: Memory, query: str) -> str:
    hits = memory.search(query)
    return hits[0].record.context if hits else ""


@pytest.mark.parametrize(
    ("query", "wanted"),
    [
        ("登录错误", 0),
        ("接口", 0),
        ("支付", 1),
        ("付", 1),
        ("数据库", 2),
        ("连接池", 2),
        ("为什么数据库连接超时？", 2),
        ("token 登录", 3),
        ("API登录失败", 3),
        ("ＡＰＩ", 3),
        ("ログイン", 4),
        ("ﾛｸﾞｲﾝのｴﾗｰ", 4),
        ("再起動", 4),
        ("เซิร์ฟเวอร์", 5),
        ("เข้าสู่ระบบ", 5),
        ("ລະບົບ", 6),
        ("ប្រព័ន្ធ", 7),
        ("အကောင့်", 8),
    ],
)
def test_what_is_written_without_blanks_is_found_by_a_part_of_it(memory: Memory, query: str, wanted: int) -> None:
    assert first(memory, query) == SAID[wanted][0]


@pytest.mark.parametrize("query", ["今天天气很好", "怎么做红烧肉", "录登", "天気予報", "อาหารอร่อยมาก", "登入"])
def test_what_nobody_said_is_not_found(memory: Memory, query: str) -> None:
    assert memory.search(query) == []


def test_relevance_is_the_share_of_the_pairs_that_a_record_has(memory: Memory) -> None:
    assert terms("登录错误，的") == ["登录", "录错", "错误", "的"] and terms("用API登录") == ["用", "api", "登录"]
    whole, half = (memory.search(query)[0].relevance for query in ("登录接口", "登录按钮接口"))
    assert whole > half > FLOORS["loose"]


def test_why_shows_words_as_people_write_them(memory: Memory) -> None:
    def shared(query: str) -> str:
        return memory.search(query)[0].why.split(";")[0]

    assert shared("支付") == "shares 支付"
    assert shared("数据库超时") == "shares 数据库, 超时"
    assert shared("API登录") == "shares api, 登录"
    assert shared("เซิร์ฟเวอร์") == "shares เซิร์ฟเวอร์", "the mark on the last letter, too"


def test_one_character_is_no_misspelt_other(memory: Memory) -> None:
    rarity = memory.searcher.rarity("default")
    assert [rarity.alike(word) for word in ("登陆", "ที่นี้", "ログ")] == [[], [], []]
    pool = memory.searcher.pool("登陆 tokem", 10, "default", "1", [])
    assert [list(concept.forms) for concept in pool.concepts] == [[], ["token"]]


def test_words_of_ones_own_may_be_written_without_blanks(tmp_path: Path) -> None:
    own = tmp_path / "words.txt"
    own.write_text("登录, 登入\n数据库, 资料库\n", encoding="utf-8")
    memory = Memory(":memory:", explore=False)
    memory.searcher.own_words = own
    known = [memory.store("登入页面打不开"), memory.store("资料库太慢")]
    assert [hit.id for hit in memory.search("登录")] == known[:1]
    (hit,) = memory.search("数据库")
    assert hit.id == known[1] and hit.why.startswith("related: 资料库")


def test_a_long_text_is_told_by_the_sentences_that_were_asked_for(memory: Memory) -> None:
    said = "天气很好。" * 80 + "登录接口返回错误！然后重启。" + "大家都走了。" * 80
    record = memory.get(memory.store(said))
    assert summarise("登录错误", record) == "登录接口返回错误！"


def test_an_index_that_grew_is_as_if_made_anew(tmp_path: Path) -> None:
    with Memory(tmp_path / "m.db", explore=False) as memory:
        for place, (context, action, result) in enumerate(SAID):
            memory.store(context, action, result, tags=["登录", "ＡＰＩ v2"], conversation="c", position=place)
        memory.store("支付成功了吗？", conversation="c", position=2)
        memory.delete(memory.latest()[4].id)
        grown = [tuple(row) for row in memory.records.database.rows(TABLE)]
        memory.records.rebuild()
        assert [tuple(row) for row in memory.records.database.rows(TABLE)] == grown
        assert len(memory.search("支付")) > 1, "a turn is found by what was said beside it"


def test_an_old_memory_is_searched_by_parts_once_it_is_opened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "m.db"
    with monkeypatch.context() as old:
        old.setattr(index, "apart", lambda text: text)
        old.setattr("engram_agent.embedders.words", lambda text: re.findall(r"\w+", text))
        old.setattr(database, "MIGRATIONS", database.MIGRATIONS[:6])
        with Memory(path, explore=False) as memory:
            for place, (context, action, result) in enumerate(SAID):
                memory.store(context, action, result, tags=["标签"], conversation="c", position=place)
            memory.store("the login times out")
            assert memory.records.database.rows(TABLE)[1]["before"] == "登录接口返回错误 重启 好"
    with Memory(path, explore=False) as memory:
        assert [hit.record.context for hit in memory.search("登录错误", limit=1)] == [SAID[0][0]]
        vectors = "SELECT vector FROM vectors ORDER BY row"
        before = [[tuple(row) for row in memory.records.database.rows(each)] for each in (TABLE, vectors)]
        memory.records.rebuild()
        assert [[tuple(row) for row in memory.records.database.rows(each)] for each in (TABLE, vectors)] == before


@settings(max_examples=200, deadline=None)
@given(st.text(st.characters(max_codepoint=0xDFF, exclude_categories=["Cs"])) | st.text("한국어 éß'я_عÀ́"))
def test_texts_of_other_scripts_are_indexed_and_asked_as_they_are(text: str) -> None:
    assert apart(text) == text and words(text) == re.findall(r"\w+", text)


@settings(max_examples=200, deadline=None)
@given(st.text(LETTERS))
def test_a_text_has_all_that_it_is_asked_for(text: str) -> None:
    """Whatever is cut out of a text is found in it, and blanks are put in once."""
    memory = Memory(":memory:", explore=False)
    memory.store(f"0 {text}")
    frequency = memory.records.words.frequency
    asked = [word for word in terms(text) if any(map(str.isalnum, word))]
    assert all(frequency(word, 9) == 1 for word in asked)
    assert together(apart(text)).split() == together(apart(together(apart(text)))).split()


def test_vectors_of_other_scripts_are_what_they_were_and_those_of_pairs_are_near() -> None:
    embed = HashingEmbedder().embed
    one, other, far = embed([SAID[0][0], "登录返回错误", "今天天气很好"])
    assert one @ other > 0.5 > 0.2 > abs(one @ far)
    assert np.array_equal(embed(["snake_case words"]), embed(["snake case words"]))


@pytest.mark.parametrize("told", ["登录接口超时", "登录超时", "登录接口 超时", "登录接口超时了"])
def test_what_was_tried_is_suggested_in_situations_told_alike(told: str) -> None:
    with Memory(":memory:", explore=False) as memory:
        for _ in range(3):
            memory.record("登录接口超时", "重试", "success")
        memory.record("支付回调丢失", "补发", "success")
        assert [(one.action, one.trials) for one in memory.suggest(told)] == [("重试", 3)]

"""Scenario files and scripts: who speaks, and what a mistake in one says."""

from pathlib import Path

import pytest

from agentfleet_cli.simulator.errors import ApiError
from agentfleet_cli.simulator.scenario import NO_SCRIPT, Script, find_script, load_scenes

SCENARIO = """
scenes:
  - when: {system: refunds, prompt: 'Order (?P<order>[A-Z]-\\d+)', tool: lookup_order}
    script:
      turns:
        - {tool: lookup_order, input: {order: "${order}"}}
        - {text: "Order ${order}: ${tool_result}"}
  - when: {model: haiku}
    script: {text: {decision: refund}}
"""


def find(
    path: Path, prompt: str, *, system: str = "", model: str = "sonnet", tools: tuple[str, ...] = ()
) -> Script:
    scenes = load_scenes(path)
    return find_script(scenes, system=system, prompt=prompt, model=model, tools=tools, tool_result="shipped")


@pytest.fixture
def scenario(tmp_path: Path) -> Path:
    path = tmp_path / "scenario.yaml"
    path.write_text(SCENARIO)
    return path


def test_the_first_scene_that_matches_speaks_with_its_named_groups(scenario: Path) -> None:
    script = find(scenario, "Order B-7, please", system="You decide refunds", tools=("lookup_order",))
    assert script.turns[0].calls[0].input == {"order": "B-7"}
    assert script.turns[1].text == "Order B-7: shipped"
    assert script.turn(5) == script.turns[1]


def test_a_scene_whose_tool_is_not_offered_stays_silent(scenario: Path) -> None:
    assert find(scenario, "Order B-7, please", system="You decide refunds") == NO_SCRIPT


def test_json_text_becomes_a_string(scenario: Path) -> None:
    assert find(scenario, "anything", model="claude-haiku-5-5").turns[0].text == '{"decision": "refund"}'


def test_a_script_in_the_prompt_goes_before_the_scenes(scenario: Path) -> None:
    script = find(scenario, 'x sim:{"text": "mine", "seconds": 0.5} y', model="claude-haiku-5-5")
    assert (script.turns[0].text, script.seconds) == ("mine", 0.5)


@pytest.mark.parametrize(
    ("prompt", "words"),
    [
        ('sim:{"text": ', "not JSON"),
        ('sim:{"txet": "a"}', "no txet"),
        ('sim:{"fail": ["530"]}', "no fault is called 530"),
        ('sim:{"turns": [{"reply": "a"}]}', "no reply"),
    ],
)
def test_a_mistake_in_a_script_is_named(prompt: str, words: str) -> None:
    with pytest.raises(ApiError, match=words):
        find_script((), system="", prompt=prompt, model="m", tools=(), tool_result="")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[]", "a list `scenes`"),
        ("scenes: [{when: {promt: a}, script: {}}]", r"scenes\[0\]: `when` has no promt"),
        ("scenes: [{when: {prompt: '('}, script: {}}]", r"scenes\[0\]"),
        ("scenes: [{when: {}}]", r"scenes\[0\]: 'script'"),
    ],
)
def test_a_mistake_in_a_scenario_file_is_placed(tmp_path: Path, text: str, words: str) -> None:
    path = tmp_path / "bad.yaml"
    path.write_text(text)
    with pytest.raises(ValueError, match=words):
        load_scenes(path)

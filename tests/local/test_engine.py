"""The engine on the real weights, in this process: its signals against llama-cpp-python's own."""

from __future__ import annotations

from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from hybrid_cli.local.chat_template import TemplateError, render
from hybrid_cli.local.context import BATCH
from hybrid_cli.local.protocol import (
    Event,
    Finished,
    LocalRequest,
    Task,
    Tokens,
    TokenSignal,
)
from hybrid_process import Hybrid
from other_template import with_template

TASK: dict[str, Any] = {"messages": [{"role": "user", "content": "What is 2+2?"}], "max_tokens": 24}
HAIKU = [{"role": "user", "content": "Write a haiku about rain."}]


@dataclass
class Made:
    """What the events say of one sequence."""

    text: str = ""
    thinking: str = ""
    signals: list[TokenSignal] = field(default_factory=list)
    finished: Finished | None = None


class Recorder:
    """Collects an engine's events."""

    def __init__(self) -> None:
        self.events: dict[str, Any] = {}
        """The last event of each class, by its name."""
        self.made: dict[int, Made] = {}

    def __call__(self, event: Event) -> None:
        self.events[type(event).__name__] = event
        if not isinstance(event, (Tokens, Finished)):
            return
        made = self.made.setdefault(event.sequence, Made())
        if isinstance(event, Finished):
            made.finished = event
        else:
            made.text += event.text
            made.thinking += event.thinking
            made.signals += event.signals


def record(engine: Any, path: Path, *tasks: dict[str, Any], **request: Any) -> Recorder:
    recorder = Recorder()
    chosen = [Task(**{**TASK, **task}) for task in tasks or ({},)]
    engine.answer(LocalRequest(str(path), chosen, **{"threads": 1, **request}), recorder)
    return recorder


def make(engine: Any, path: Path, **task: Any) -> Made:
    return record(engine, path, task).made[0]


@pytest.fixture(scope="module")
def engine() -> Any:
    from hybrid_cli.local.inference import Inference
    from hybrid_cli.local.loading import Loader

    return Inference(Loader())


def test_tokens_and_signals_are_those_of_a_full_softmax(
    engine: Any, model_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import llama_cpp
    import numpy as np

    from hybrid_cli.local.loading import has_sound_kernels

    parameters = llama_cpp.llama_model_default_params()
    parameters.use_extra_bufts = has_sound_kernels()  # the class has no argument for it
    monkeypatch.setattr("llama_cpp.llama_cpp.llama_model_default_params", lambda: parameters)

    made = make(engine, model_file, messages=HAIKU, max_tokens=12, repeat_penalty=1.0)
    # logits_all keeps every position's raw logits: the slow but independent way to the same numbers.
    peer = llama_cpp.Llama(str(model_file), n_ctx=256, logits_all=True, flash_attn=True, verbose=False)
    template = peer.metadata["tokenizer.chat_template"]
    prompt = render(template, HAIKU, bos="<|im_start|>", eos="<|im_end|>")
    ids = peer.tokenize(prompt.encode(), add_bos=False, special=True)
    assert len(ids) == made.finished.tokens_in
    peer.eval(ids)
    for signal in made.signals:
        logits = np.asarray(peer.scores[peer.n_tokens - 1], dtype=np.float64)
        log_probabilities = logits - logits.max() - np.log(np.exp(logits - logits.max()).sum())
        probabilities = np.exp(log_probabilities)
        first, second = np.sort(probabilities)[-1:-3:-1]
        assert signal.logprob == pytest.approx(log_probabilities.max(), abs=0.001)
        assert signal.margin == pytest.approx(first - second, abs=0.001)
        assert signal.entropy == pytest.approx(-(probabilities * log_probabilities).sum(), abs=0.001)
        peer.eval([int(logits.argmax())])
    assert [signal.kind for signal in made.signals] == ["first", *["content"] * (len(made.signals) - 1)]
    made_ids = list(peer.input_ids[len(ids) : len(ids) + len(made.signals)])
    assert peer.detokenize(made_ids).decode() == made.text


def test_sequences_side_by_side_are_what_each_is_alone(engine: Any, model_file: Path) -> None:
    questions = ["What is 2+2?", "Name a colour.", "What is the capital of France?", "Say hello.", "Hi"]
    tasks = [
        {"messages": [{"role": "user", "content": question}], "max_tokens": 8 + 4 * number}
        for number, question in enumerate(questions)
    ]
    together = record(engine, model_file, *tasks).made
    assert sorted(together) == list(range(len(tasks)))
    for number, task in enumerate(tasks):
        alone = make(engine, model_file, **task)
        assert together[number].text == alone.text
        assert together[number].finished.finish_reason == alone.finished.finish_reason
        for one, other in zip(together[number].signals, alone.signals, strict=True):
            assert one[:3] == pytest.approx(other[:3], abs=0.001)


def test_what_is_left_of_many_sequences_is_decoded_in_one_pass(
    engine: Any, model_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """llama.cpp reads the weights once for slots that follow each other, and again behind each gap."""
    from hybrid_cli.local.decode import Decoder

    decode, slots = Decoder._decode, []

    def listen(decoder: Any, entries: Any, **options: Any) -> None:
        slots.append([slot for _token, _position, slot, _wanted in entries])
        decode(decoder, entries, **options)

    monkeypatch.setattr(Decoder, "_decode", listen)
    record(engine, model_file, *({"max_tokens": most} for most in (9, 2, 7, 3, 8, 4)))
    beside = [found for found in slots if found[0] != 6]  # where the prefix is
    assert len(beside) >= 9
    assert all(sorted(set(found)) == list(range(len(set(found)))) for found in beside)
    assert all(found == sorted(found) for found in beside)


def test_more_sequences_than_slots_take_turns(engine: Any, model_file: Path) -> None:
    tasks = [
        {"messages": [{"role": "user", "content": f"Tell me of {number} foxes."}], "max_tokens": 4}
        for number in range(18)
    ]
    made = record(engine, model_file, *tasks).made
    assert sorted(made) == list(range(18))
    assert all(len(one.signals) == 4 for one in made.values())


def test_the_penalty_changes_the_text_but_signals_stay_raw(engine: Any, model_file: Path) -> None:
    penalised = make(engine, model_file, messages=HAIKU, max_tokens=24, repeat_penalty=1.9)
    plain = make(engine, model_file, messages=HAIKU, max_tokens=24)
    assert penalised.text != plain.text
    # A penalised choice is seldom the raw favourite, and its raw probability says so.
    lowest = [min(signal.logprob or 0 for signal in made.signals) for made in (penalised, plain)]
    assert lowest[0] < lowest[1]


def test_same_seed_same_text_even_beside_others(engine: Any, model_file: Path) -> None:
    sampled = {"messages": HAIKU, "max_tokens": 12, "temperature": 1.5}
    first = make(engine, model_file, **sampled, seed=1).text
    assert make(engine, model_file, **sampled, seed=1).text == first
    together = record(engine, model_file, *({**sampled, "seed": seed} for seed in range(4))).made
    assert len({made.text for made in together.values()}) > 1
    samples = record(
        engine, model_file, *({**sampled, "seed": 1, "sample": number} for number in range(4))
    ).made
    assert samples[0].text == first
    assert len({made.text for made in samples.values()}) > 1


def test_each_sample_of_each_prompt_draws_for_itself() -> None:
    """A generator's first draw depends on its seed alone, so equal seeds would draw alike for all prompts."""
    from hybrid_cli.local.sampler import own_seed

    seeds = [
        own_seed(seed, prompt, sample)
        for seed in range(5)
        for prompt in ("", "a", "b", "1", "a\0" + "1")
        for sample in range(4)
    ]
    assert len(set(seeds)) == len(seeds) == 100
    assert all(0 <= seed < 1 << 31 for seed in seeds)
    assert 0.35 < sum(seed / (1 << 31) for seed in seeds) / len(seeds) < 0.65
    assert seeds[0] == own_seed(0, "", 0) == int(sha256(b"0\x000\x00").hexdigest()[:8], 16) >> 1


def test_a_second_request_reuses_the_model_and_gives_the_same(engine: Any, model_file: Path) -> None:
    first = make(engine, model_file)
    again = record(engine, model_file)
    assert first.text == again.made[0].text
    assert again.events["Loaded"].load_seconds < 0.02  # a load takes ten times that


def test_utf8_is_never_cut_inside_a_character(engine: Any, model_file: Path) -> None:
    messages = [{"role": "user", "content": "Repeat exactly: 🦊🎉 naïve 日本語 🦊🎉"}]
    recorder = record(engine, model_file, {"messages": messages, "max_tokens": 40})
    assert "�" not in recorder.made[0].text
    assert not recorder.made[0].text.isascii(), "no character spanned tokens: the case was not met"


def test_finish_reasons(engine: Any, model_file: Path) -> None:
    assert make(engine, model_file).finished.finish_reason == "stop"
    assert make(engine, model_file, max_tokens=2).finished.finish_reason == "length"
    overflow = record(engine, model_file, context=16).made[0].finished
    assert (overflow.finish_reason, overflow.tokens_out) == ("overflow", 0)
    looped = make(engine, model_file, messages=HAIKU, max_tokens=500).finished
    assert looped.finish_reason == "loop"  # what this model really does without a penalty
    assert looped.tokens_out < 200


def test_stop_strings_end_the_answer_before_them(engine: Any, model_file: Path) -> None:
    whole = make(engine, model_file).text
    word = whole.split()[3]
    cut = make(engine, model_file, stop=[word, "never said"])
    assert cut.text == whole[: whole.index(word)]
    assert cut.finished.finish_reason == "stop"


def test_a_long_prompt_is_prefilled_in_chunks(engine: Any, model_file: Path) -> None:
    messages = [{"role": "user", "content": "The sky is blue. " * 110 + "What colour is the sky?"}]
    made = make(engine, model_file, messages=messages, max_tokens=8)
    assert made.finished.tokens_in > BATCH
    assert "sky" in made.text


def test_templates() -> None:
    turns = "{% for m in messages %}<{{ m.role }}>{{ m.content }}{% endfor %}<assistant>"
    system = [{"role": "system", "content": "S"}, {"role": "user", "content": "U"}]
    assert render(turns, system, bos="", eos="") == "<system>S<user>U<assistant>"
    strict = "{% if messages[0].role == 'system' %}{{ raise_exception('no system') }}{% endif %}" + turns
    assert render(strict, system, bos="", eos="") == "<user>S\n\nU<assistant>"
    deaf = "{% for m in messages if m.role == 'user' %}<user>{{ m.content }}{% endfor %}<assistant>"
    assert render(deaf, system, bos="", eos="") == "<user>S\n\nU<assistant>"


PARTS = (  # SmolVLM's way: a message's content is a list of parts with types
    "{% for m in messages %}<{{ m['role'] }}>{% for line in m['content'] %}"
    "{% if line['type'] == 'image' %}<image>{% elif line['type'] == 'text' %}{{ line['text'] }}{% endif %}"
    "{% endfor %}<end>\n{% endfor %}<assistant>"
)
GEMMA = (  # refuses a system message, and roles that do not alternate
    "{{ bos_token }}{% if messages[0]['role'] == 'system' %}{{ raise_exception('no system') }}{% endif %}"
    "{% for message in messages %}{% if (message['role'] == 'user') != (loop.index0 % 2 == 0) %}"
    "{{ raise_exception('roles must alternate') }}{% endif %}{{ '<start_of_turn>' + message['role'] + '\n' +"
    " message['content'] | trim + '<end_of_turn>\n' }}{% endfor %}{{ '<start_of_turn>model\n' }}"
)
TRAINED = (  # marks what is learnt of, for training alone
    "{% for m in messages %}{%- if m.role == 'assistant' -%}{%- generation -%}{{ m.content }}"
    "{%- endgeneration -%}{%- else -%}<{{ m.role }}>{{ m.content }}{%- endif -%}{% endfor %}<assistant>"
)


@pytest.mark.parametrize(
    ("template", "rendered"),
    [
        (PARTS, "<system>s<end>\n<user>u 1<end>\n<assistant>"),
        (GEMMA, "<start_of_turn>user\ns\n\nu 1<end_of_turn>\n<start_of_turn>model\n"),
        (TRAINED, "<system>s<user>u 1<assistant>"),
        (TRAINED.replace("{%- generation -%}", "{% generation %}"), "<system>s<user>u 1<assistant>"),
        ("{% for m in messages %}{{ m.content | upper }}{% endfor %}", None),
        ("{{ messages[0].content }}", "s\n\nu 1"),
        ("{% for m in messages %}{{ m.content.text }}{% endfor %}", None),
        ("{{ messages | tojson }}", '[{"role": "system", "content": "s"}, {"role": "user", "content": "u 1"}]'),
        ("{{ 'fixed' }}", None),
        ("{% for m in messages %}{{ m.content[:1] }}{% endfor %}", None),
    ],
)  # fmt: skip
def test_a_rendered_prompt_holds_the_text_of_every_message(template: str, rendered: str | None) -> None:
    messages = [{"role": "system", "content": "s"}, {"role": "user", "content": "u 1"}]
    if rendered is None:
        with pytest.raises(TemplateError, match="drops the text"):
            render(template, messages, bos="", eos="")
    else:
        assert render(template, messages, bos="", eos="") == rendered


@pytest.mark.parametrize(
    "hostile",
    [
        "{{ ''.__class__.__mro__[1].__subclasses__() }}",
        "{{ messages.append(messages[0]) }}",
        "{% if %}",
        "{{ raise_exception('no') }}",
        "{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}",
        "{% for a in range(99999) %}{% for b in range(99) %}xxxxxxxx{% endfor %}{% endfor %}",
        "{{ 'x' * 9999999999 }}",
        "{{ '%9999999999d' % 1 }}",
        "{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}",
        "x" * 300_000,
    ],
)
@pytest.mark.parametrize("roles", [["user"], ["system", "user"]])
def test_a_hostile_template_fails_within_its_limits(hostile: str, roles: list[str]) -> None:
    with pytest.raises(TemplateError):
        render(hostile, [{"role": role, "content": "a text"} for role in roles], bos="", eos="")


def test_readings_of_what_is_no_number() -> None:
    import math

    import numpy as np

    from hybrid_cli.local.logits import Meter, Reading

    meter = Meter(3)
    even = meter.read(np.zeros(3, dtype=np.float32))
    assert even == pytest.approx((math.log(3), 0, math.log(3)), abs=1e-6)
    nothing = Reading(None, None, None)
    assert meter.read(np.array([float("nan"), 0, 0], dtype=np.float32)) == nothing
    assert meter.read(np.array([0, float("nan"), 0], dtype=np.float32)) == nothing
    assert meter.read(np.array([float("inf"), 0, 0], dtype=np.float32)) == nothing
    # A logit of minus infinity is a token that cannot be: the others still have their probabilities.
    masked = meter.read(np.array([0, 0, -float("inf")], dtype=np.float32))
    assert masked == pytest.approx((math.log(2), 0, math.log(2)), abs=1e-6)


@pytest.mark.parametrize("vocabulary", [2, 63, 64, 5000, 49_152])
def test_the_highest_tokens_are_those_that_sorting_finds(vocabulary: int) -> None:
    import numpy as np

    from hybrid_cli.local.logits import Meter

    generator = np.random.default_rng(vocabulary)
    meter = Meter(vocabulary)
    for _row in range(5):
        logits = generator.normal(0, 5, vocabulary).astype(np.float32)
        reading = meter.read(logits)
        first, second = np.sort(np.exp(logits - np.logaddexp.reduce(logits.astype(float))))[-1:-3:-1]
        assert reading.margin == pytest.approx(first - second, abs=1e-5)
        for count in (1, 40, 104, 4096):
            found = meter.highest(count).tolist()
            assert found == sorted(found)
            assert set(found) >= set(np.argsort(logits)[-count:].tolist())
    meter.read(np.full(vocabulary, np.nan, dtype=np.float32))
    assert len(meter.highest(40)) == vocabulary


@pytest.mark.parametrize(("temperature", "penalty"), [(0, 1.0), (0, 1.3), (1.5, 1.0), (0.8, 1.3)])
def test_the_chain_chooses_from_its_candidates_as_from_the_whole_vocabulary(
    engine: Any, model_file: Path, monkeypatch: pytest.MonkeyPatch, temperature: float, penalty: float
) -> None:
    import numpy as np

    from hybrid_cli.local.logits import Meter

    settings = {"temperature": temperature, "repeat_penalty": penalty, "seed": 7, "max_tokens": 16}
    messages = [{"role": "user", "content": "Write a story about a fox."}]
    chosen = make(engine, model_file, messages=messages, **settings).text
    monkeypatch.setattr(Meter, "highest", lambda meter, _count: np.arange(len(meter._shifted)))
    assert make(engine, model_file, messages=messages, **settings).text == chosen


def test_a_template_that_renders_nothing_gives_way_to_the_fallback(model_file: Path) -> None:
    from hybrid_cli.local.loading import Loader
    from hybrid_cli.local.model import Model

    loader = Loader()
    loader.load(str(model_file))
    model = Model(loader.handle)
    assert model.template_state == "used"
    model._template = "{% if 0 %}{{ messages }}{% endif %}"
    assert "<|im_start|>user\nHi<|im_end|>" in model.prompt(Task([{"role": "user", "content": "Hi"}], 1))
    assert model.template_state == "broken"


@pytest.mark.parametrize("verb", ["run", "pipe"])
def test_a_template_that_is_not_used_is_told_once(
    hybrid: Hybrid, model_file: Path, tmp_path: Path, verb: str
) -> None:
    for template, told in (("{{ nothing }}", "cannot render this prompt"), (PARTS, "")):
        model = with_template(model_file, template, tmp_path / f"{len(template)}.gguf")
        done = hybrid(verb, "-p", "offline", "-m", model, "--max-tokens", "2", "Hi", stdin=b"a\nb\n")
        assert done.returncode in (0, 7), done.stderr  # two tokens are hardly a whole answer
        notes = [line for line in done.stderr.decode().splitlines() if "chat template" in line]
        assert len(notes) == bool(told), done.stderr
        assert all(f"{model} has a chat template that {told}; using ChatML" in note for note in notes)

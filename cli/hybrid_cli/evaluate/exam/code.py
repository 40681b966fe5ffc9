"""Code reading: what a short program prints."""

from __future__ import annotations

from random import Random

from hybrid_cli.evaluate.exam.arithmetic import numeric
from hybrid_cli.evaluate.exam.forms import Item
from hybrid_cli.evaluate.exam.tables import WORDS


def _prints(
    code: str, answer: str | int, draw: Random, slips: tuple[str | int, ...] = (), language: str = "Python"
) -> Item:
    """Ask what `code` prints."""
    ask = draw.choice(
        (
            f"What does this {language} code print?",
            f"What is the output of this {language} program?",
            "What does this print?",
        )
    )
    if isinstance(answer, int):
        given = tuple(one for one in slips if isinstance(one, int))
        return Item(ask, answer, context=code, wrong=numeric(ask, answer, given).wrong)
    return Item(ask, answer, context=code, wrong=tuple(str(one) for one in slips if str(one) != answer))


def loop(draw: Random) -> Item:
    """A loop with a sum or a product."""
    n, step, start = draw.randint(3, 8), draw.randint(1, 3), draw.randint(0, 5)
    code, answer = draw.choice(
        (
            (
                f"total = {start}\nfor i in range({n}):\n    total += i * {step}\nprint(total)",
                start + sum(i * step for i in range(n)),
            ),
            (
                f"n = {n * 7}\ncount = 0\nwhile n > 1:\n    n = n // 2\n    count += 1\nprint(count)",
                (n * 7).bit_length() - 1,
            ),
            (
                f"x = {step}\nfor i in range({min(n, 5)}):\n    x = x * 2 + 1\nprint(x)",
                (step + 1) * 2 ** min(n, 5) - 1,
            ),
            (
                f"print(sum(x for x in range({n * 2}) if x % {step + 1} == 0))",
                sum(x for x in range(n * 2) if x % (step + 1) == 0),
            ),
            (f"a, b = 0, 1\nfor _ in range({n}):\n    a, b = b, a + b\nprint(a)", _fibonacci(n)),
        )
    )
    return _prints(code, answer, draw, (n, n * step))


def _fibonacci(n: int) -> int:
    a, b = 0, 1
    for _ in range(n):
        a, b = b, a + b
    return a


def strings(draw: Random) -> Item:
    """Slices and methods of strings."""
    word, other = draw.sample(WORDS, 2)
    i, j = draw.randint(0, 2), draw.randint(3, 5)
    code, answer = draw.choice(
        (
            (f's = "{word}"\nprint(s[{i}:{j}])', word[i:j]),
            (f's = "{word}"\nprint(s[-{i + 1}])', word[-i - 1]),
            (f's = "{word}"\nprint(s[::-1].upper())', word[::-1].upper()),
            (f'print("{word} {other}".split()[1][:{j}])', other[:j]),
            (f'print("-".join(["{word}", "{other}"]))', f"{word}-{other}"),
            (f'print("{word}".replace("{word[0]}", "{other[0]}"))', word.replace(word[0], other[0])),
        )
    )
    return _prints(code, answer, draw, (word, other, word[i : j + 1], word.upper()))


def lists(draw: Random) -> Item:
    """Lists, dicts and sets."""
    values = draw.sample(range(1, 30), 5)
    i = draw.randint(1, 3)
    code, answer = draw.choice(
        (
            (f"a = {values}\nprint(sorted(a)[{i}])", sorted(values)[i]),
            (f"a = {values}\na.append({i})\nprint(len(a) + a[0])", 6 + values[0]),
            (f"a = {values}\nprint(max(a) - min(a))", max(values) - min(values)),
            (f"a = {values}\nb = a\nb[0] = {i * 50}\nprint(a[0])", i * 50),
            (
                f"d = {{'x': {values[0]}, 'y': {values[1]}}}\nd['x'] += {i}\nprint(d['x'] + d.get('z', {i}))",
                values[0] + 2 * i,
            ),
            (f"print(len(set({[*values[:3], values[0], values[1]]})))", 3),
            (
                f"a = {values}\nprint([x for x in a if x > {sorted(values)[2]}][0])",
                next(x for x in values if x > sorted(values)[2]),
            ),
        )
    )
    return _prints(code, answer, draw, (values[0], values[i]))


def functions(draw: Random) -> Item:
    """Functions, defaults, recursion and branches."""
    a, b, n = draw.randint(2, 9), draw.randint(2, 9), draw.randint(3, 6)
    code, answer = draw.choice(
        (
            (f"def f(x, y={a}):\n    return x * y - 1\n\nprint(f({b}) + f({b}, 2))", b * a - 1 + b * 2 - 1),
            (f"def f(n):\n    return 1 if n <= 1 else n * f(n - 1)\n\nprint(f({n}))", _factorial(n)),
            (
                f"def f(x):\n    if x % 2 == 0:\n        return x // 2\n    return 3 * x + 1\n\nprint(f(f({a})))",
                _collatz(_collatz(a)),
            ),
            (f"g = lambda x: x + {a}\nprint(g(g({b})))", b + 2 * a),
            (
                f"def f(n):\n    return 0 if n == 0 else n % 10 + f(n // 10)\n\nprint(f({a * 1000 + b * 10 + n}))",
                a + b + n,
            ),
        )
    )
    return _prints(code, answer, draw, (a * b, a + b))


def _factorial(n: int) -> int:
    return 1 if n <= 1 else n * _factorial(n - 1)


def _collatz(n: int) -> int:
    return n // 2 if n % 2 == 0 else 3 * n + 1


def other_language(draw: Random) -> Item:
    """JavaScript, C and shell."""
    a, b, c = draw.randint(3, 20), draw.randint(2, 6), draw.randint(2, 9)
    word = draw.choice(WORDS)
    code, answer, language = draw.choice(
        (
            (f'#include <stdio.h>\nint main(void) {{ printf("%d\\n", {a} / {b} * {c}); }}', a // b * c, "C"),
            (f'int x = {a}; int y = x++ + {b};\nprintf("%d", x + y);', a + 1 + a + b, "C"),
            (
                f"const a = [{a}, {b}, {c}];\nconsole.log(a.map(x => x * 2).reduce((s, x) => s + x, 0));",
                2 * (a + b + c),
                "JavaScript",
            ),
            (f"console.log('{a}' + {b});", int(f"{a}{b}"), "JavaScript"),
            (f"let s = '{word}';\nconsole.log(s.length * {b});", len(word) * b, "JavaScript"),
            (f"x={a}\nfor i in 1 2 3; do x=$((x + i)); done\necho $x", a + 6, "bash"),
            (
                f"int s = 0;\nfor (int i = {b}; i <= {a}; i += 2) s += i;\nSystem.out.println(s);",
                sum(range(b, a + 1, 2)),
                "Java",
            ),
        )
    )
    return _prints(code, answer, draw, (a * c // b, a + b), language)


_ERRORS = {
    'print("a" + 1)': "TypeError",
    "print([1, 2, 3][5])": "IndexError",
    "print({'a': 1}['b'])": "KeyError",
    "print(1 / 0)": "ZeroDivisionError",
    "print(int('x1'))": "ValueError",
    "print(undefined_name)": "NameError",
    "None.strip()": "AttributeError",
    "import no_such_module_here": "ModuleNotFoundError",
    "len(5)": "TypeError",
    "open('/no/such/file')": "FileNotFoundError",
    "assert 2 + 2 == 5": "AssertionError",
    "x = (1, 2)\nx[0] = 3": "TypeError",
}


def errors(draw: Random) -> Item:
    """Ask for the exception that a line raises."""
    code, name = draw.choice(list(_ERRORS.items()))
    others = tuple(sorted(set(_ERRORS.values()) - {name}))
    return Item("Which exception does this Python code raise?", name, context=code, wrong=others)


_COMPLEXITY = {
    "binary search in a sorted list": "O(log n)",
    "a loop over all pairs of n items": "O(n^2)",
    "a look-up in a hash table": "O(1)",
    "one pass over a list of n items": "O(n)",
    "merge sort of n items": "O(n log n)",
    "listing all subsets of n items": "O(2^n)",
}


def complexity(draw: Random) -> Item:
    """Ask for the usual time complexity of an operation."""
    what, answer = draw.choice(list(_COMPLEXITY.items()))
    others = tuple(one for one in _COMPLEXITY.values() if one != answer)
    ask = f"What is the usual time complexity of {what}?"
    return Item(
        ask, answer, also=(answer.replace("^2", "²"), answer.replace("log n", "log(n)")), wrong=others
    )

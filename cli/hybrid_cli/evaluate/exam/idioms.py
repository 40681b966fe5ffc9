"""Shell, jq and SQL: options, commands, outputs, and queries that run in memory."""

from __future__ import annotations

import json
from collections import Counter
from random import Random

from hybrid_cli.evaluate.exam import tables
from hybrid_cli.evaluate.exam.arithmetic import numeric
from hybrid_cli.evaluate.exam.forms import Item

_OPTIONS = {
    ("grep", "print only the number of matching lines"): ("-c", "--count"),
    ("grep", "print the lines that do not match"): ("-v", "--invert-match"),
    ("grep", "ignore case"): ("-i", "--ignore-case"),
    ("grep", "print line numbers"): ("-n", "--line-number"),
    ("grep", "print only the names of matching files"): ("-l", "--files-with-matches"),
    ("sort", "compare by numeric value"): ("-n", "--numeric-sort"),
    ("sort", "reverse the order"): ("-r", "--reverse"),
    ("uniq", "prefix each line with its count"): ("-c", "--count"),
    ("cut", "select fields"): ("-f", "--fields"),
    ("cut", "set the delimiter"): ("-d", "--delimiter"),
    ("tail", "keep printing new lines of a growing file"): ("-f", "--follow"),
    ("ls", "show hidden files"): ("-a", "--all"),
    ("mkdir", "create missing parent directories"): ("-p", "--parents"),
    ("rm", "remove directories with their contents"): ("-r", "--recursive", "-R"),
    ("cp", "copy directories"): ("-r", "--recursive", "-R", "-a"),
    ("wc", "count lines only"): ("-l", "--lines"),
    ("tar", "extract an archive"): ("-x", "--extract", "-xf"),
    ("curl", "follow redirects"): ("-L", "--location"),
    ("curl", "write to a file of the given name"): ("-o", "--output"),
    ("sed", "edit files in place"): ("-i", "--in-place"),
    ("jq", "print strings without quotes"): ("-r", "--raw-output"),
    ("git commit", "take the message from the command line"): ("-m", "--message"),
    ("xargs", "run several processes at once"): ("-P", "--max-procs"),
    ("du", "print one total per argument"): ("-s", "--summarize"),
    ("df", "print sizes for people"): ("-h", "--human-readable"),
    ("find", "limit results to directories"): ("-type d", "-type"),
}
_COMMANDS = {
    "shows how much space is free on the file systems": "df",
    "shows the space that a directory uses": "du",
    "changes the permissions of a file": "chmod",
    "changes the owner of a file": "chown",
    "prints the first lines of a file": "head",
    "prints the last lines of a file": "tail",
    "counts lines, words and bytes": "wc",
    "sends a signal to a process": "kill",
    "lists running processes": "ps",
    "shows the difference of two files line by line": "diff",
    "shows which user you are": "whoami",
    "translates or deletes characters": "tr",
    "copies stdin to a file and to stdout": "tee",
    "prints the current directory": "pwd",
    "creates an empty file or updates its time": "touch",
    "splits a file into pieces": "split",
    "joins lines of two files on a field": "join",
    "prints a file in reverse line order": "tac",
    "runs a command at most for a given time": "timeout",
    "looks up a host name": "dig",
    "shows manual pages": "man",
    "creates links between files": "ln",
    "runs a command again and again and shows its output": "watch",
}


def option(draw: Random) -> Item:
    """Ask for the option of a command."""
    (name, purpose), (first, *also) = draw.choice(list(_OPTIONS.items()))
    ask = draw.choice(
        (
            "Which option of {} is used to {}?",
            "Which flag makes {} {}?",
            "With {}, which option do I need to {}?",
        )
    )
    others = sorted({values[0] for values in _OPTIONS.values()} - {first, *also})
    return Item(
        ask.format(name, purpose),
        first,
        also=tuple(also),
        wrong=tuple(draw.sample(others, 5)),
        brief="Answer with the option only.",
    )


def command(draw: Random) -> Item:
    """Ask for the command that does something."""
    effect, name = draw.choice(list(_COMMANDS.items()))
    others = tuple(draw.sample([one for one in _COMMANDS.values() if one != name], 5))
    return Item(f"Which Linux command {effect}?", name, wrong=others)


def pipeline(draw: Random) -> Item:
    """Ask for the output of a pipeline; Python computes it."""
    words = [draw.choice(tables.WORDS[:6]) for _ in range(draw.randint(4, 6))]
    given = "\n".join(words)
    counts = Counter(words)
    commands = draw.choice(
        (
            ("sort | uniq | wc -l", len(counts)),
            ("wc -l", len(words)),
            ("sort | head -n 1", min(words)),
            ("tail -n 1", words[-1]),
            ("sort -r | head -n 1", max(words)),
            (f"grep -c {words[0]}", counts[words[0]]),
            (f"grep -vc {words[0]}", len(words) - counts[words[0]]),
            ("head -n 2 | tail -n 1", words[1]),
            ("sort -u | tail -n 1", max(words)),
            ("cut -c1 | sort -u | head -n 1", min(words)[0]),
        )
    )
    line, output = commands
    ask = f"A file holds the lines below. What does `cat file | {line}` print?"
    wrong = tuple(one for one in dict.fromkeys(words) if one != output)
    if isinstance(output, int):
        return Item(ask, output, context=given, wrong=numeric("", output).wrong)
    return Item(ask, output, context=given, wrong=wrong)


def fields(draw: Random) -> Item:
    """Ask for the output of cut, awk, tr, or parameter expansion."""
    words = draw.sample(tables.WORDS, 4)
    place = draw.randint(1, 4)
    numbers = [draw.randint(1, 30) for _ in range(4)]
    ask, answer = draw.choice(
        (
            (f"What does `echo {','.join(words)} | cut -d, -f{place}` print?", words[place - 1]),
            (f"What does `echo {' '.join(words)} | awk '{{print ${place}}}'` print?", words[place - 1]),
            (f"What does `echo {words[0]} | tr a-z A-Z` print?", words[0].upper()),
            (f"What does `echo {words[0]} | rev` print?", words[0][::-1]),
            (f"What does `basename /usr/{words[0]}/{words[1]}.txt .txt` print?", words[1]),
            (f"What does `dirname /srv/{words[0]}/{words[1]}` print?", f"/srv/{words[0]}"),
            (f"In bash, f={words[0]}.tar.gz. What does `echo ${{f%%.*}}` print?", words[0]),
            (
                f"In bash, what does `echo $(( {numbers[0]} * {numbers[1]} + {numbers[2]} ))` print?",
                str(numbers[0] * numbers[1] + numbers[2]),
            ),
            (f"What does `seq {numbers[0]} {numbers[0] + numbers[1]} | wc -l` print?", str(numbers[1] + 1)),
            (f"What does `printf '%s\\n' {' '.join(words)} | sort | head -n 1` print?", min(words)),
        )
    )
    wrong = tuple(
        dict.fromkeys(one for one in (*words, *map(str, numbers), words[0].title()) if one not in answer)
    )
    return Item(ask, int(answer) if answer.isdigit() else answer, wrong=wrong)


def jq(draw: Random) -> Item:
    """Ask for the output of a jq filter; Python computes it."""
    names, ages = draw.sample(tables.FIRST_NAMES, 3), [draw.randint(18, 70) for _ in range(3)]
    cities, place = [draw.choice(tables.CITIES) for _ in names], draw.randrange(3)
    people = [
        {"name": name, "age": age, "city": city} for name, age, city in zip(names, ages, cities, strict=True)
    ]
    answers: dict[str, str | int] = {
        f".people[{place}].name": names[place],
        f".people[{place}].city": cities[place],
        ".people | length": 3,
        ".people[-1].age": ages[-1],
        "[.people[].age] | max": max(ages),
        "[.people[].age] | add": sum(ages),
        ".people | map(.name) | sort | .[0]": min(names),
        f'.people[] | select(.name == "{names[place]}") | .age': ages[place],
    }
    program, answer = draw.choice(list(answers.items()))
    wrong = tuple(one for one in (*names, *map(str, ages), *cities) if one != str(answer))
    ask = f"What does `jq -r '{program}'` print for this JSON?"
    return Item(ask, answer, context=json.dumps({"people": people, "total": 3}), wrong=wrong)


def sql(draw: Random) -> Item:
    """Ask for a query on a small table; the check runs it."""
    names = draw.sample(tables.FIRST_NAMES, 5)
    rows = [(name, draw.choice(tables.CITIES[:3]), draw.randint(10, 99)) for name in names]
    city, least = rows[0][1], draw.randint(30, 60)
    there = [row for row in rows if row[1] == city]
    counts = Counter(row[1] for row in rows)
    ask, query, found, ordered = draw.choice(
        (
            (
                f"the names of the customers in {city}",
                f"SELECT name FROM customers WHERE city = '{city}'",  # noqa: S608  a prompt
                [[row[0]] for row in there],
                False,
            ),
            ("the number of customers", "SELECT COUNT(*) FROM customers", [[len(rows)]], False),
            (
                f"the names of customers whose balance is above {least}",
                f"SELECT name FROM customers WHERE balance > {least}",  # noqa: S608  a prompt
                [[row[0]] for row in rows if row[2] > least],
                False,
            ),
            (
                "the city and the number of customers for each city",
                "SELECT city, COUNT(*) FROM customers GROUP BY city",
                [[name, count] for name, count in counts.items()],
                False,
            ),
            (
                "the name and balance of all customers, highest balance first",
                "SELECT name, balance FROM customers ORDER BY balance DESC",
                [[row[0], row[2]] for row in sorted(rows, key=lambda row: -row[2])],
                len({row[2] for row in rows}) == 5,
            ),
            (
                f"the average balance in {city}",
                f"SELECT AVG(balance) FROM customers WHERE city = '{city}'",  # noqa: S608  a prompt
                [[sum(row[2] for row in there) / len(there)]],
                False,
            ),
            (
                "the highest balance",
                "SELECT MAX(balance) FROM customers",
                [[max(row[2] for row in rows)]],
                False,
            ),
            (
                "the different cities, each once, in alphabetical order",
                "SELECT DISTINCT city FROM customers ORDER BY city",
                [[name] for name in sorted(counts)],
                True,
            ),
        )
    )
    setup = ["CREATE TABLE customers (name TEXT, city TEXT, balance INTEGER)"]
    setup += [f"INSERT INTO customers VALUES ('{name}', '{town}', {balance})" for name, town, balance in rows]  # noqa: S608  read-only, in memory
    form = draw.choice(
        (
            "The table customers has the columns name, city and balance. Write a SQL query for {}.",
            "Write one SQLite SELECT that returns {}. Table: customers(name, city, balance).",
        )
    )
    check = {"sql": {"setup": setup, "rows": found, "ordered": ordered}}
    return Item(form.format(ask), query, check=check, brief="Print only the SQL.")


def sql_result(draw: Random) -> Item:
    """Ask for the result of a query on a given table."""
    names = draw.sample(tables.FIRST_NAMES, 4)
    balances = draw.sample(range(10, 99), 4)
    text = "\n".join(
        ["name|balance", *(f"{name}|{value}" for name, value in zip(names, balances, strict=True))]
    )
    least = sorted(balances)[draw.randint(0, 2)]
    query, answer = draw.choice(
        (
            (f"SELECT COUNT(*) FROM t WHERE balance > {least}", sum(value > least for value in balances)),  # noqa: S608  a prompt
            ("SELECT SUM(balance) FROM t", sum(balances)),
            ("SELECT name FROM t ORDER BY balance DESC LIMIT 1", names[balances.index(max(balances))]),
            ("SELECT name FROM t ORDER BY name LIMIT 1", min(names)),
            ("SELECT MIN(balance) FROM t", min(balances)),
        )
    )
    ask = f"The table t is below. What does `{query}` return?"
    wrong = tuple(one for one in (*names, *map(str, balances)) if one != str(answer))
    return Item(ask, answer, context=text, wrong=wrong)

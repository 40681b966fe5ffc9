"""Classification of given lines."""

from __future__ import annotations

from collections.abc import Mapping
from random import Random

from hybrid_cli.evaluate.exam import tables
from hybrid_cli.evaluate.exam.forms import Item

Labels = Mapping[str, tuple[str, ...]]
"""Texts by label."""

_REVIEWS: Labels = {
    "positive": (
        "The {} works perfectly and arrived a day early.",
        "Best {} I have ever owned.",
        "I bought a second {} for my mother.",
        "Not bad at all: this {} does everything I hoped for.",
        "The {} was worth every cent.",
        "I doubted it at first, but the {} won me over.",
    ),
    "negative": (
        "The {} broke on the second day.",
        "I want my money back for this {}.",
        "The {} is far too loud and heavy.",
        "Great packaging, useless {}.",
        "I expected a lot and the {} delivered none of it.",
        "If you enjoy repairing things, buy this {}.",
    ),
}
_TICKETS: Labels = {
    "billing": (
        "I was charged twice this month.",
        "Where do I find my invoice?",
        "My card was declined, please cancel the fee.",
    ),
    "technical": (
        "The app crashes when I open the settings.",
        "Upload fails with error 500.",
        "The page stays blank.",
    ),
    "account": ("I forgot my password.", "How do I change my user name?", "Please delete my profile."),
    "shipping": (
        "My parcel has not arrived yet.",
        "Can you send it to another address?",
        "The tracking number is wrong.",
    ),
}
_TOPICS: Labels = {
    "sports": (
        "The striker scored twice in the final.",
        "She won the 400 metres by a hair.",
        "The match went into overtime.",
    ),
    "politics": (
        "Parliament passed the budget by two votes.",
        "The minister resigned on Monday.",
        "Voters go to the polls.",
    ),
    "science": (
        "The probe sent back images of the crater.",
        "The team sequenced the plant's genome.",
        "A new particle was seen in the detector.",
    ),
    "business": (
        "Shares fell after the merger was called off.",
        "The retailer opens forty new shops.",
        "Quarterly profit rose by a third.",
    ),
}
_LOGS: Labels = {
    "error": (
        "disk write failed: no space left on device",
        "connection refused by upstream, giving up",
        "unhandled exception in worker {n}: KeyError",
    ),
    "warning": (
        "retrying request {n} after timeout",
        "certificate expires in {n} days",
        "memory usage at 85 percent",
    ),
    "info": ("server started on port {n}", "user {n} logged in", "backup finished in {n} seconds"),
}
_LANGUAGES: Labels = {
    "German": ("Der Zug kommt heute später.", "Wir haben keine Zeit mehr.", "Das Fenster ist offen."),
    "French": ("Le train arrive plus tard.", "Nous n'avons plus le temps.", "La fenêtre est ouverte."),
    "Spanish": ("El tren llega más tarde.", "Ya no tenemos tiempo.", "La ventana está abierta."),
    "Italian": ("Il treno arriva più tardi.", "Non abbiamo più tempo.", "La finestra è aperta."),
    "Dutch": ("De trein komt later.", "We hebben geen tijd meer.", "Het raam staat open."),
}
_SPAM = {
    True: (
        "You have won a prize! Click here within 24 hours to claim $5,000.",
        "Cheap pills, no prescription, order now!!!",
        "Dear friend, I am a prince and need your bank account to move a fortune.",
    ),
    False: (
        "Are we still on for lunch at noon?",
        "The minutes of Tuesday's meeting are attached.",
        "Your appointment is on 3 May at 9:30; please bring your card.",
    ),
}
_INTENT: Labels = {
    "question": (
        "How long does the battery last",
        "Is there a discount for students",
        "When does the shop open",
    ),
    "complaint": (
        "I have waited for three weeks and nobody answers",
        "Your driver damaged my gate",
        "The soup was cold again",
    ),
    "request": (
        "Please send me the manual",
        "Book a table for four on Friday",
        "Cancel my subscription as of today",
    ),
    "praise": ("Your support team was wonderful", "I love the new design", "Great service as always"),
}


def _labelled(table: Labels, what: str, draw: Random) -> Item:
    label = draw.choice(list(table))
    text = draw.choice(table[label]).format(draw.choice(tables.WORDS), n=draw.randint(2, 9000))
    listed = list(table)
    draw.shuffle(listed)
    ask = draw.choice(
        (
            f"Is the {what} {', '.join(listed[:-1])} or {listed[-1]}?",
            f"Classify this {what} as one of: {', '.join(listed)}.",
            f"Which of {', '.join(listed)} fits this {what}?",
        )
    )
    return Item(ask, label, context=text, wrong=tuple(one for one in listed if one != label))


def sentiment(draw: Random) -> Item:
    """Ask for the sentiment of a review."""
    return _labelled(_REVIEWS, "review", draw)


def ticket(draw: Random) -> Item:
    """Ask for the department of a support ticket."""
    return _labelled(_TICKETS, "ticket", draw)


def topic(draw: Random) -> Item:
    """Ask for the topic of a headline."""
    return _labelled(_TOPICS, "headline", draw)


def severity(draw: Random) -> Item:
    """Ask for the severity of a log line."""
    return _labelled(_LOGS, "log line", draw)


def intent(draw: Random) -> Item:
    """Ask what a customer's message is."""
    return _labelled(_INTENT, "message", draw)


def language(draw: Random) -> Item:
    """Ask for the language of a sentence."""
    item = _labelled(_LANGUAGES, "sentence", draw)
    ask = draw.choice(("Which language is this?", "In which language is this sentence written?"))
    return Item(ask, item.answer, context=item.context, wrong=item.wrong)


def spam(draw: Random) -> Item:
    """Ask whether a message is spam."""
    is_spam = draw.random() < 0.5
    return Item("Is this message spam?", is_spam, context=draw.choice(_SPAM[is_spam]))


def each_line(draw: Random) -> Item:
    """Ask for a label for each of several lines."""
    table, what = draw.choice(((_REVIEWS, "review"), (_LOGS, "log line"), (_TICKETS, "ticket")))
    labels = [draw.choice(list(table)) for _ in range(draw.randint(3, 5))]
    lines = [
        draw.choice(table[label]).format(draw.choice(tables.WORDS), n=draw.randint(2, 900))
        for label in labels
    ]
    ask = f"Label each {what} as {', '.join(table)}. Print one label per line, in the order of the input, and nothing else."
    return Item(ask, "\n".join(labels), context="\n".join(lines), check={"lines": labels}, brief="")


def how_many(draw: Random) -> Item:
    """Ask how many of several lines are of one kind."""
    labels = [draw.choice(("positive", "negative")) for _ in range(draw.randint(4, 7))]
    lines = [draw.choice(_REVIEWS[label]).format(draw.choice(tables.WORDS)) for label in labels]
    asked = draw.choice(("positive", "negative"))
    wrong = tuple(str(count) for count in range(8) if count != labels.count(asked))
    return Item(
        f"How many of these reviews are {asked}?", labels.count(asked), context="\n".join(lines), wrong=wrong
    )

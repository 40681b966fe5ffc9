"""A text of 289 words with ten typos, for what is drafted best: a copy with corrections."""

from __future__ import annotations

from random import Random

TEXT = (
    "The old mill at the edge of our town had stood empty for almost thirty years when the council finally voted to turn"
    " it into a library. Most people were pleased with the plan, although a few of them worried about what it would cost."
    " My aunt, who had worked there as a young woman, remembered how the wooden floor used to shake whenever the great"
    " wheel was turning. She told the builders which beams were likely to be rotten, and in nearly every case she was"
    " right. Work began in early spring, as soon as the river had gone down far enough for the trucks to cross the lower"
    " bridge. The first task was to clear out the cellar, where water had been standing since the last flood. They found"
    " rusty tools, two broken chairs, and a tin box full of letters that nobody had ever opened. One of the letters was"
    " addressed to a teacher who still lives on our street. She read it at her kitchen table and would not tell anyone"
    " what it said, but she smiled for the rest of the week. By the end of summer the roof was tight again and new"
    " windows looked out over the water. The children of the village were asked to paint the shelves, and they chose a"
    " bright yellow that their parents thought was much too loud. When the doors were opened in October, more than four"
    " hundred visitors came on the first day alone. The mayor gave a short speech, a band played by the stairs, and my"
    " aunt was given the very first library card. She borrowed a thin book about the history of mills, and she has"
    " already found three mistakes in it."
)
PROMPT = "Fix the typos in this text and print only the corrected text:\n\n"
_EVERY = 28
"""Words to a typo."""


def prompt_with_typos() -> str:
    """Return the prompt: in every 28th word that is long enough, two letters are swapped."""
    draw, words = Random(5), TEXT.split(" ")
    for place in range(3, len(words), _EVERY):
        word = words[place]
        if len(word) > 3:
            first = draw.randrange(1, len(word) - 2)
            words[place] = word[:first] + word[first + 1] + word[first] + word[first + 2 :]
    return PROMPT + " ".join(words)

"""The languages that a rule can name: those that py3langid recognises, by code or English name."""

from __future__ import annotations

import re

from hybrid_cli.ui.suggest import nearest

LANGUAGES = frozenset(
    [
        "ace",
        "af",
        "am",
        "an",
        "ar",
        "ary",
        "arz",
        "as",
        "az",
        "ba",
        "bcl",
        "be",
        "bg",
        "bn",
        "br",
        "bs",
        "ca",
        "crh",
        "cs",
        "cy",
        "da",
        "de",
        "dz",
        "el",
        "en",
        "eo",
        "es",
        "et",
        "eu",
        "ext",
        "fa",
        "fi",
        "fo",
        "fr",
        "fuv",
        "fy",
        "ga",
        "gcf",
        "gcr",
        "gd",
        "gl",
        "gom",
        "grc",
        "gu",
        "gug",
        "guw",
        "ha",
        "hbo",
        "he",
        "hi",
        "hr",
        "ht",
        "hu",
        "hy",
        "id",
        "ig",
        "is",
        "it",
        "ja",
        "jv",
        "ka",
        "kab",
        "kik",
        "kk",
        "km",
        "kn",
        "ko",
        "ku",
        "ky",
        "la",
        "lb",
        "lg",
        "lij",
        "ln",
        "lo",
        "lt",
        "ltg",
        "lv",
        "mg",
        "mk",
        "ml",
        "mn",
        "mr",
        "ms",
        "mt",
        "my",
        "ne",
        "nl",
        "nn",
        "no",
        "nso",
        "oc",
        "om",
        "or",
        "pa",
        "pcm",
        "pl",
        "ps",
        "pt",
        "qu",
        "ro",
        "ru",
        "rw",
        "sa",
        "sdh",
        "se",
        "si",
        "sk",
        "sl",
        "sn",
        "so",
        "sq",
        "sr",
        "st",
        "sv",
        "sw",
        "ta",
        "te",
        "tg",
        "th",
        "tk",
        "tl",
        "tr",
        "tt",
        "ug",
        "uk",
        "ur",
        "uz",
        "uzs",
        "vec",
        "vi",
        "vo",
        "wa",
        "wuu",
        "xh",
        "yo",
        "yue",
        "zh",
        "zu",
    ]
)
"""Codes as py3langid returns them: ISO 639-1 where there is one, else ISO 639-3."""

_NAMES = """
af afr Afrikaans; am amh Amharic; ar ara arb Arabic; as asm Assamese; az aze Azerbaijani; ba bak Bashkir;
be bel Belarusian; bg bul Bulgarian; bn ben Bengali Bangla; br bre Breton; bs bos Bosnian; ca cat Catalan;
cs ces cze Czech; cy cym wel Welsh; da dan Danish; de deu ger German; el ell gre Greek; en eng English;
eo epo Esperanto; es spa Spanish Castilian; et est Estonian; eu eus baq Basque; fa fas per Persian Farsi;
fi fin Finnish; fo fao Faroese; fr fra fre French; fy fry Frisian; ga gle Irish; gd gla Gaelic; gl glg Galician;
gu guj Gujarati; ha hau Hausa; he heb iw Hebrew; hi hin Hindi; hr hrv Croatian; ht hat Haitian; hu hun Hungarian;
hy hye arm Armenian; id ind in Indonesian; ig ibo Igbo; is isl ice Icelandic; it ita Italian; ja jpn Japanese;
jv jav Javanese; ka kat geo Georgian; kk kaz Kazakh; km khm Khmer; kn kan Kannada; ko kor Korean; ku kur Kurdish;
ky kir Kyrgyz; la lat Latin; lb ltz Luxembourgish; lo lao Lao; lt lit Lithuanian; lv lav Latvian; mg mlg Malagasy;
mk mkd mac Macedonian; ml mal Malayalam; mn mon Mongolian; mr mar Marathi; ms msa may Malay; mt mlt Maltese;
my mya bur Burmese; ne nep Nepali; nl nld dut Dutch Flemish; no nor Norwegian; nb nob Bokmål; nn nno Nynorsk;
oc oci Occitan; or ori Odia; pa pan Punjabi; pl pol Polish; ps pus Pashto; pt por Portuguese; qu que Quechua;
ro ron rum mo Romanian Moldovan; ru rus Russian; rw kin Kinyarwanda; sa san Sanskrit; si sin Sinhala;
sk slk slo Slovak; sl slv Slovenian Slovene; sn sna Shona; so som Somali; sq sqi alb Albanian; sr srp Serbian;
st sot Sotho; sv swe Swedish; sw swa swh Swahili; ta tam Tamil; te tel Telugu; tg tgk Tajik; th tha Thai;
tk tuk Turkmen; tl tgl fil Tagalog Filipino; tr tur Turkish; tt tat Tatar; ug uig Uyghur; uk ukr Ukrainian;
ur urd Urdu; uz uzb Uzbek; vi vie Vietnamese; xh xho Xhosa; yo yor Yoruba; yue Cantonese;
zh zho chi cmn Chinese Mandarin; zu zul Zulu
"""
NAMES = {
    name.casefold(): code for code, *names in map(str.split, _NAMES.split(";")) for name in (code, *names)
}
"""Codes of ISO 639-2 and 639-3, retired codes and English names, each with its code of ISO 639-1."""

# The two written forms of Norwegian, and Chinese as people write it: a text of one is often taken for the other.
_TOGETHER = [{"no", "nb", "nn"}, {"zh", "yue", "wuu"}]
_REGION = re.compile(r"[-_.@].*", re.DOTALL)


def codes_of(name: str) -> frozenset[str]:
    """The codes that a text in the language `name` may get: `de`, `DE`, `de-AT`, `deu` and `German` are one.

    Raises ValueError for a language that is never recognised.
    """
    short = _REGION.sub("", name.strip().casefold())
    code = NAMES.get(name.strip().casefold()) or NAMES.get(short, short)
    codes = next((group for group in _TOGETHER if code in group), {code}) & LANGUAGES
    if not codes:
        close = nearest(short, [word.capitalize() for word in NAMES if len(word) > 3])
        hint = f"did you mean `{close}`?" if close else "use a code such as en or de"
        raise ValueError(f"`{name}` is not a language that hybrid recognises; {hint}")
    return frozenset(codes)

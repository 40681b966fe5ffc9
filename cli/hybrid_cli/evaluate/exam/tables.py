"""Fact tables of the exam. Every row is a plain fact, written for this project."""

from __future__ import annotations

CAPITALS = {
    "France": "Paris", "Japan": "Tokyo", "Italy": "Rome", "Spain": "Madrid", "Egypt": "Cairo",
    "Canada": "Ottawa", "Australia": "Canberra", "Brazil": "Brasilia", "Turkey": "Ankara", "Kenya": "Nairobi",
    "Norway": "Oslo", "Portugal": "Lisbon", "Poland": "Warsaw", "Peru": "Lima", "Chile": "Santiago",
    "Hungary": "Budapest", "Finland": "Helsinki", "Vietnam": "Hanoi", "Morocco": "Rabat", "Nepal": "Kathmandu",
    "Kazakhstan": "Astana", "Mongolia": "Ulaanbaatar", "Slovenia": "Ljubljana", "Burkina Faso": "Ouagadougou",
    "Latvia": "Riga", "Uruguay": "Montevideo", "Ghana": "Accra", "Laos": "Vientiane", "Georgia": "Tbilisi",
    "Moldova": "Chisinau", "Zambia": "Lusaka", "Paraguay": "Asuncion", "Bhutan": "Thimphu", "Iceland": "Reykjavik",
}  # fmt: skip
SYMBOLS = {
    "gold": "Au", "silver": "Ag", "iron": "Fe", "sodium": "Na", "potassium": "K", "lead": "Pb", "tin": "Sn",
    "mercury": "Hg", "copper": "Cu", "helium": "He", "tungsten": "W", "antimony": "Sb", "zinc": "Zn",
    "calcium": "Ca", "chlorine": "Cl", "magnesium": "Mg", "manganese": "Mn", "neon": "Ne", "nickel": "Ni",
    "uranium": "U", "iodine": "I", "silicon": "Si", "tellurium": "Te", "rubidium": "Rb",
}  # fmt: skip
ATOMIC_NUMBERS = {
    "hydrogen": 1, "helium": 2, "lithium": 3, "carbon": 6, "nitrogen": 7, "oxygen": 8, "neon": 10, "sodium": 11,
    "aluminium": 13, "silicon": 14, "sulfur": 16, "chlorine": 17, "calcium": 20, "iron": 26, "copper": 29,
    "zinc": 30, "silver": 47, "tin": 50, "gold": 79, "lead": 82, "uranium": 92,
}  # fmt: skip
CURRENCIES = {
    "Japan": "yen", "India": "rupee", "Brazil": "real", "Russia": "ruble", "Poland": "zloty", "Sweden": "krona",
    "Turkey": "lira", "Thailand": "baht", "South Korea": "won", "Israel": "shekel", "Vietnam": "dong",
    "Hungary": "forint", "South Africa": "rand", "Mexico": "peso", "Ukraine": "hryvnia", "Georgia": "lari",
    "Ghana": "cedi", "Malaysia": "ringgit", "Nigeria": "naira", "Armenia": "dram",
}  # fmt: skip
CONTINENTS = {
    "Kenya": "Africa", "Peru": "South America", "Nepal": "Asia", "Portugal": "Europe", "Ghana": "Africa",
    "Uruguay": "South America", "Laos": "Asia", "Latvia": "Europe", "Namibia": "Africa", "Bhutan": "Asia",
    "Guatemala": "North America", "Honduras": "North America", "Samoa": "Oceania", "Fiji": "Oceania",
    "Suriname": "South America", "Andorra": "Europe", "Brunei": "Asia", "Eritrea": "Africa",
}  # fmt: skip
PORTS = {
    "HTTPS": 443, "HTTP": 80, "SSH": 22, "SMTP": 25, "DNS": 53, "PostgreSQL": 5432, "MySQL": 3306, "Redis": 6379,
    "FTP": 21, "IMAPS": 993, "LDAP": 389, "Telnet": 23, "MongoDB": 27017, "NTP": 123, "RDP": 3389,
}  # fmt: skip
STATUS_CODES = {
    "Not Found": 404, "Internal Server Error": 500, "Forbidden": 403, "Moved Permanently": 301, "Created": 201,
    "Too Many Requests": 429, "Bad Gateway": 502, "Unauthorized": 401, "No Content": 204, "Not Modified": 304,
    "Gateway Timeout": 504, "Conflict": 409, "Method Not Allowed": 405, "Gone": 410, "Payload Too Large": 413,
}  # fmt: skip
YEARS = {
    "the first crewed landing on the Moon": 1969, "the fall of the Berlin Wall": 1989, "the French Revolution begin": 1789,
    "the end of World War II": 1945, "the sinking of the Titanic": 1912, "the Norman conquest of England": 1066,
    "the Chernobyl disaster": 1986, "Columbus's first voyage to America": 1492, "the Battle of Waterloo": 1815,
    "the first release of the Linux kernel": 1991, "the great fire of London": 1666, "the start of World War I": 1914,
    "the opening of the Suez Canal": 1869, "the October Revolution in Russia": 1917, "the Battle of Lepanto": 1571,
    "the Peace of Westphalia": 1648, "the launch of Sputnik 1": 1957, "the eruption of Krakatoa": 1883,
}  # fmt: skip
AUTHORS = {
    "Hamlet": "Shakespeare", "War and Peace": "Tolstoy", "Crime and Punishment": "Dostoevsky", "1984": "Orwell",
    "The Trial": "Kafka", "Don Quixote": "Cervantes", "Faust": "Goethe", "Ulysses": "Joyce", "Emma": "Austen",
    "Moby-Dick": "Melville", "Madame Bovary": "Flaubert", "The Stranger": "Camus", "Great Expectations": "Dickens",
    "The Divine Comedy": "Dante", "The Magic Mountain": "Mann", "Middlemarch": "Eliot", "Leviathan": "Hobbes",
    "The Republic": "Plato", "The Wealth of Nations": "Smith", "Candide": "Voltaire",
}  # fmt: skip
ANIMALS = {
    "dolphin": "mammal", "bat": "mammal", "penguin": "bird", "frog": "amphibian", "salamander": "amphibian",
    "crocodile": "reptile", "shark": "fish", "seahorse": "fish", "tortoise": "reptile", "ostrich": "bird",
    "newt": "amphibian", "ant": "insect", "butterfly": "insect", "whale": "mammal", "gecko": "reptile",
    "eel": "fish", "platypus": "mammal", "beetle": "insect", "kiwi": "bird", "toad": "amphibian",
}  # fmt: skip
PLURALS = {
    "child": "children", "mouse": "mice", "goose": "geese", "foot": "feet", "ox": "oxen", "leaf": "leaves",
    "criterion": "criteria", "crisis": "crises", "knife": "knives", "tooth": "teeth", "person": "people",
    "phenomenon": "phenomena", "half": "halves", "thesis": "theses", "city": "cities", "radius": "radii",
}  # fmt: skip
PAST = {
    "go": "went", "bring": "brought", "swim": "swam", "write": "wrote", "catch": "caught", "fly": "flew",
    "teach": "taught", "choose": "chose", "freeze": "froze", "hide": "hid", "lead": "led", "seek": "sought",
    "forget": "forgot", "draw": "drew", "shake": "shook", "build": "built",
}  # fmt: skip
GERMAN = {
    "dog": "Hund", "house": "Haus", "water": "Wasser", "bread": "Brot", "tree": "Baum", "apple": "Apfel",
    "book": "Buch", "milk": "Milch", "window": "Fenster", "key": "Schlüssel", "bird": "Vogel", "horse": "Pferd",
}  # fmt: skip
SPANISH = {
    "dog": "perro", "house": "casa", "water": "agua", "bread": "pan", "tree": "árbol", "apple": "manzana",
    "book": "libro", "milk": "leche", "window": "ventana", "key": "llave", "bird": "pájaro", "horse": "caballo",
}  # fmt: skip
FRENCH = {
    "dog": "chien", "house": "maison", "water": "eau", "bread": "pain", "tree": "arbre", "apple": "pomme",
    "book": "livre", "milk": "lait", "window": "fenêtre", "key": "clé", "bird": "oiseau", "horse": "cheval",
}  # fmt: skip
OPPOSITES = {
    "hot": "cold", "early": "late", "ancient": "modern", "expand": "contract", "victory": "defeat",
    "generous": "stingy", "import": "export", "transparent": "opaque", "permanent": "temporary", "ascend": "descend",
    "scarce": "abundant", "rigid": "flexible", "arrogant": "humble", "deficit": "surplus",
}  # fmt: skip
FIRST_NAMES = (
    "Ana", "Ben", "Carla", "David", "Elif", "Farid", "Greta", "Hugo", "Ines", "Jonas", "Kira", "Liam", "Mona",
    "Nils", "Olga", "Pavel", "Rosa", "Samir", "Tara", "Viktor", "Yuki", "Zoe",
)  # fmt: skip
LAST_NAMES = (
    "Albrecht", "Bianchi", "Costa", "Duarte", "Eriksen", "Fontaine", "Gruber", "Hoshino", "Ivanova", "Jansen",
    "Kowalski", "Lindqvist", "Moreau", "Novak", "Okafor", "Petrov", "Quist", "Romero", "Sato", "Tanaka",
)  # fmt: skip
FRUIT = (
    "apples", "pears", "plums", "oranges", "lemons", "peaches", "cherries", "melons", "figs", "grapes", "bananas",
    "apricots",
)  # fmt: skip
WORDS = (
    "anchor", "basket", "candle", "dragon", "engine", "falcon", "garden", "hammer", "island", "jacket", "kettle",
    "ladder", "magnet", "needle", "orange", "pepper", "quartz", "rocket", "saddle", "tunnel", "umbrella", "violin",
    "walnut", "yellow", "zipper", "bridge", "cactus", "dinner", "forest", "marble",
)  # fmt: skip
CITIES = (
    "Lyon", "Porto", "Graz", "Malmo", "Turin", "Bergen", "Gdansk", "Split", "Ghent", "Basel", "Tartu", "Seville",
    "Leeds", "Aarhus", "Brno", "Varna",
)  # fmt: skip

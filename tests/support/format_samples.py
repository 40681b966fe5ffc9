"""Samples of credentials in the forms that vendors publish, drawn anew, and clean texts of developers."""

from __future__ import annotations

import random
import string
from collections.abc import Iterator

LOWER, UPPER, DIGITS, HEX = string.ascii_lowercase, string.ascii_uppercase, string.digits, "0123456789abcdef"
SETS = {"a": LOWER + UPPER + DIGITS, "l": LOWER + DIGITS, "u": UPPER + DIGITS, "h": HEX, "d": DIGITS, "w": LOWER + UPPER + DIGITS + "_-", "b": LOWER + UPPER + DIGITS + "+/", "z": UPPER + "234567", "y": LOWER + "234567", "k": LOWER + UPPER + DIGITS + "./"}  # fmt: skip

FORMS = """
tvly-{a32}|tvly-dev-{a32}|fw_{a24}|csk-{l48}|pa-{w43}|jina_{h32}{w28}|fc-{h32}|WANDB_API_KEY={h40}|re_{a8}_{a24}|rzp_live_{a14}
PAYPAL_CLIENT_SECRET=E{w79}|AQEyh{b60}-{b43}=-{a16}|sl.{w140}|sl.u.{w200}|1/1201234567890123:{h32}|2/120123456789012/1201234567890:{h32}
hcaik_01{l56}|hcxlk_{l58}|dG9rO{b54}=|00D{a12}!{a96}|phx_{a43}|st.{h24}.{h32}.{h32}|0.{h8}-{h4}-{h4}-{h4}-{h12}.{a30}:{b22}==
vcp_{a56}|VERCEL_TOKEN={a24}|vercel_blob_rw_{a16}_{a30}|rnd_{a32}|napi_{l64}|postgresql://neondb_owner:npg_{a12}@ep-x.neon.tech/db|CFPAT-{w43}
db-{a29}|cio{a32}|https://{h32}@o1234567.ingest.us.sentry.io/4501234567890123|sntryu_{h64}|{h32}-{h8}-{h8}|sk_car_{a22}|e2b_{h40}
llx-{a48}|rpa_{u40}|pk_12345678_{u32}|ATTA{h64}|waka_{h8}-{h4}-{h4}-{h4}-{h12}|access_token$production${l16}${h32}|FLWSECK-{h32}-X
live_{a30}|pdl_live_apikey_{l26}_{a22}_{a3}|shippo_live_{h40}|AAAA{w7}:APA91b{w134}|md-{w22}|os_v2_app_{y40}|hooks.zapier.com/hooks/catch/123456/{l7}
AKIA{z16}|ASIA{z16}|aws_secret_access_key = {b40}|ghp_{a36}|gho_{a36}|ghs_{a36}|github_pat_{a22}_{a59}|glpat-{w20}|glrt-{w20}|gldt-{w20}
sk-proj-{w120}|sk-{a20}T3BlbkFJ{a20}|sk-ant-api03-{w93}AA|AIza{w35}|ya29.{w60}|GOCSPX-{w28}|hf_{a34}|gsk_{a52}|r8_{a37}|pplx-{a48}|xai-{a80}
nvapi-{w64}|sk-or-v1-{h64}|pcsk_{a6}_{a62}|lsv2_pt_{h32}_{h10}|sk-lf-{h8}-{h4}-{h4}-{h4}-{h12}|xoxb-{d12}-{d12}-{a24}|xapp-1-A{u10}-{d13}-{h64}
https://hooks.slack.com/services/T{u8}/B{u8}/{a24}|sk_live_{a24}|rk_live_{a24}|whsec_{b32}|SG.{w22}.{w43}|npm_{a36}|pypi-AgEIcHlwaS5vcmc{w90}|rubygems_{h48}
dop_v1_{h64}|{d9}:AA{w33}|SK{h32}|AC{h32}|shpat_{h32}|sq0csp-{w43}|EAAA{w60}|figd_{w40}|lin_api_{a40}|ntn_{a46}|secret_{a43}|pat{a14}.{h64}
dapi{h32}|dp.pt.{a43}|dt0c01.{u24}.{u64}|glsa_{a32}_{h8}|glc_{b60}|NRAK-{u27}|pscale_tkn_{w43}|PMAK-{h24}-{h34}|pul-{h40}|sbp_{h40}
hvs.{w90}|hybrid-{w43}|tskey-auth-{a16}-{a32}|age: AGE-SECRET-KEY-1{u58}|ops_eyJ{b200}|xkeysib-{h64}-{a16}|{h32}-us12|key-{h32}|dckr_pat_{w27}|CCIPAT_{a22}_{h40}
bkua_{h40}|nfp_{a36}|ATATT3xFfGF0{w170}={u8}|ATBB{a32}|AKCp8{a68}|oy2{l43}|sqp_{h40}|{a14}.atlasv1.{w67}|LTAI{a20}|AKID{a32}|AQVN{w36}
eyJhbGciOi{w30}.eyJ{w80}.{w43}|da2-{l26}|amzn.mws.{h8}-{h4}-{h4}-{h4}-{h12}|EZAK{a54}|duffel_live_{w43}|tfp_{w44}|alcht_{a30}|pnu_{a36}|API-{u29}
AccountKey={b86}==;|{a76}AZDO{a4}|abc8Q~{w34}|HRKU-{w60}|fo1_{w43}|cfut_{a40}|1//0{w60}|access-production-{h8}-{h4}-{h4}-{h4}-{h12}
$2b$12${k53}|$6$rounds=5000${a16}${b86}|$argon2id$v=19$m=65536,t=3,p=4${b22}${b43}|pbkdf2_sha256$600000${a22}${b43}=|{SSHA}{b40}|admin:$apr1${a8}${a22}
machine h.example login ann password {a12}|db.example:5432:app:ann:{a12}|define('DB_PASSWORD', 'p{a10}');|define( 'AUTH_KEY', '{a64}' );|SECRET_KEY = 'django-insecure-{w20}#9{w20}'
ENV DB_PASSWORD {a12}|sshpass -p {a10} ssh a@b|mysql -u root -p{a10} db|docker login -u ann -p {a12} r.example|docker login --password={a12} r.example
CREATE USER ann IDENTIFIED BY '{a10}';|ALTER ROLE ann WITH PASSWORD '{a10}';|redis-cli -h x -a {a12} ping|PGPASSWORD={a12} psql|keytool -storepass {a10} -list
--password {a10}|<password>{a8}9a</password>|the password is {a9}1|das Passwort ist {a9}1|le mot de passe est {a9}1|la contraseña es {a9}1|a senha é {a9}1
la password è {a9}1|пароль: {a9}1|パスワードは{a9}1です|密码是{a9}1|비밀번호는 {a9}1|hasło to {a9}1|şifre: {a9}1|wachtwoord is {a9}1|كلمة المرور: {a9}1
password: {a10}|DB_PASS="{a10}"|api_key={a32}|"client_secret": "{a40}"|X-Api-Key: {a32}|Authorization: Bearer {a40}|Authorization: Basic {b40}|curl -u ann:{a12} https://x
postgres://ann:{a12}@db/x|mongodb+srv://ann:{a14}@c0.mongodb.net|redis://:{a20}@r:6379|https://ann:{a12}@h.example/|amqp://ann:{a12}@mq/|token: {h40}
STRIPE_SECRET={a32}|encryption_key: {h64}|SONAR_TOKEN=squ_{h40}|jwt_secret: "{a48}"|DATADOG_API_KEY={h32}|ALGOLIA_ADMIN_KEY={h32}|MISTRAL_API_KEY={a32}
mfa.{w84}|dose{h32}|IGQVJ{w150}|AAAAAAAAAAAAAAAAAAAAA{a80}|amzn1.oa2-cs.v1.{h64}|oauth:{l30}|https://mainnet.infura.io/v3/{h32}|sec-c-{b48}
https://eth-mainnet.g.alchemy.com/v2/{w32}|lob: live_{h35}|OPENWEATHER_APPID={h32}|essu_{b60}|azure devops pat: {y52}|passwd: {a12}|ory_at_{w43}.{w43}
let token: String = "{a40}".to_string();|const apiKey: string = '{a32}'|wandb login {h40}|HELICONE_API_KEY=sk-helicone-{a7}-{a7}-{a7}-{a7}|ably: {a6}.{a6}:{w43}
openssl enc -aes-256-cbc -k {a16} -in x|net use z: /user:ann {a12}|mongosh -u root -p {a14}|snmp-server community {a12} RW|username ann password 7 {u16}
recovery code: {l5}-{l5}|rootpw --plaintext {a12}|sudo password for ann: {a10}|npm config set //r.example/:_authToken {h8}-{h4}-{h4}-{h4}-{h12}|psk="{a14}"
das Passwort lautet {a10}|le mot de passe du serveur est {a10}|DB_DSN="user:{a12}@tcp(db:3306)/app"|BASIC_AUTH=ann:{a12}|syt_YW5u_{a20}_{a6}|sk-{a24}
private_{b28}|perm-{b24}=.{b12}=.{a30}|{a6}_{a29}_mmk|passcode: {d4}{a6}|STORYBLOK_TOKEN={a24}|CLOUDINARY_URL=cloudinary://{d15}:{w27}@mycloud|xau_{a32}
COHERE_API_KEY={a40}|TOGETHER_API_KEY={h64}|DEEPGRAM_API_KEY={h40}|OPENWEATHER_API_KEY={h32}|SNYK_TOKEN={h8}-{h4}-{h4}-{h4}-{h12}|CODECOV_TOKEN={h8}-{h4}-{h4}-{h4}-{h12}
abc_live_{a40}|newco_sk_{a36}|zz_pat_{a48}|K{c51}|5J{c49}|xprv{c107}|seed phrase: {p12}|mnemonic = "{p24}"|mosquitto password: {a12}|secret: {z32}
"""
"""One form each between bars; `{a32}` is 32 letters and digits, and so on for the sets above."""
_BASE58 = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"
_WORDS = [
    "abandon",
    "ability",
    "able",
    "about",
    "above",
    "absent",
    "absorb",
    "abstract",
    "absurd",
    "abuse",
    "access",
    "account",
    "acid",
    "acoustic",
    "acquire",
    "across",
]


def filled(form: str, chance: random.Random) -> str:
    """`form` with a drawn text for each part in braces."""
    pieces = form.split("{")
    text = pieces[0]
    for piece in pieces[1:]:
        name, closed, rest = piece.partition("}")
        if not closed or not name[1:].isdigit():
            text += "{" + piece
            continue
        count = int(name[1:])
        if name[0] == "p":
            text += " ".join(chance.choice(_WORDS) for _ in range(count)) + rest
        else:
            letters = {**SETS, "c": _BASE58}[name[0]]
            drawn = [chance.choice(letters) for _ in range(count)]
            if name[0] in "alwb" and count >= 6:  # some letter and some digit, as in any real one
                drawn[1], drawn[2], drawn[3] = (
                    chance.choice(DIGITS),
                    chance.choice(LOWER),
                    chance.choice(DIGITS),
                )
            text += "".join(drawn) + rest
    return text


def samples(chance: random.Random) -> Iterator[tuple[str, str]]:
    """Each form, and a text with one of it."""
    for line in FORMS.strip().splitlines():
        for form in line.split("|"):
            yield form, f"see\n{filled(form, chance)}\nend\n"

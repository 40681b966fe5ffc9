"""The formats of credentials that vendors publish: one row of `CREDENTIALS` for each format.

To add a format, add a row to its group, and its form to tests/support/format_samples.py. `privacy.scan` does the rest:

- It tries a pattern only on texts that contain one of its keywords.
- A match counts only at the start of a word: no letter, digit or underscore may come before it.
- The secret is the group `value` if the pattern has one, or else the whole match.

A match is extended to the end of its run (`privacy.extent`), so a pattern need not match the whole. Bound each
repetition, or let it end at a character that it cannot match, so that no text causes long backtracking.
"""

from __future__ import annotations

from typing import NamedTuple


class Credential(NamedTuple):
    name: str
    """The name for messages; formats of one credential may share it."""
    keywords: tuple[str, ...]
    """Lower-case texts; each match contains at least one of these."""
    pattern: str
    """Regular expression of Python's `re`, in which only ASCII letters and digits make words."""
    grows: bool = True
    """Whether the secret continues to the end of its run of characters, or to the quote that closes it."""

    @property
    def is_evident(self) -> bool:
        """Whether a keyword of its own marks the credential, so that it needs no context."""
        return min(map(len, self.keywords)) > 3 and "value" not in self.pattern


row = Credential

CREDENTIALS = (
    # clouds
    row("AWS access key id", ("akia", "asia", "abia", "acca", "a3t"), r"A(?:KIA|SIA|BIA|CCA|3T[A-Z0-9])[A-Z0-9]{16}\b"),
    row(
        "AWS secret access key",  # has no prefix: recognised by its form, near an access key id or the vendor's name
        ("akia", "asia", "abia", "acca", "aws"),
        r"[Aa](?:KIA[A-Z0-9]{16}|SIA[A-Z0-9]{16}|BIA[A-Z0-9]{16}|CCA[A-Z0-9]{16}|[Ww][Ss])[\s\S]{1,120}?(?<![\w/+=])"
        r"(?P<value>(?=[^a-z]{0,39}[a-z])(?=[^A-Z]{0,39}[A-Z])(?=[^0-9]{0,39}[0-9])[A-Za-z0-9/+]{40})(?![\w/+=])",
    ),
    row("Amazon OAuth client secret", ("amzn1.oa2-cs.",), r"amzn1\.oa2-cs\.v1\.[a-f0-9]{64}\b"),
    row("Amazon MWS token", ("amzn.mws.",), r"amzn\.mws\.[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}\b"),
    row("AWS AppSync key", ("da2-",), r"da2-[a-z0-9]{26}\b"),
    row("AWS session token", ("fwogzxiv", "fqogzxiv", "iqojb3jpz2lu"), r"(?:F[wQ]oGZXIv|IQoJb3JpZ2lu)[A-Za-z0-9+/=%]{80,}"),
    row("AWS Bedrock API key", ("absk", "bedrock-api-key-"), r"(?:ABSK[A-Za-z0-9+/]{60,}=*|bedrock-api-key-[A-Za-z0-9+/]{30,}=*)"),
    row("Alibaba Cloud access key", ("ltai",), r"LTAI(?=[A-Za-z]{0,25}\d)[A-Za-z0-9]{12,26}\b"),
    row(
        "Azure storage key",
        ("accountkey", "sharedaccesskey"),
        r"(?i:(?:Account|SharedAccess)Key=)(?P<value>[\w+/]{40,}={0,2})",
    ),
    row(
        "Azure storage key",  # 64 bytes in Base64, but not the checksum of a package
        ("==",),
        r"(?<!sha512-)(?<![\w+/=-])[A-Za-z0-9+/]{86}==",
    ),
    row("Azure shared access signature", ("sig=",), r"sig=(?P<value>(?=[^&\s]{0,60}\d)[\w%+/-]{40,130}={0,2})"),
    row(
        "Azure key",  # with the mark of its service before a checksum
        ("acdb", "+ast", "azse", "azca", "aiot", "apim", "azfu", "+acr", "azeg", "+aeh", "+asb", "+arm", "+aba", "+amc"),
        r"[A-Za-z0-9+/]{33,76}(?:ACDb|AzSe|AzCa|AIoT|APIM|AzFu|AZEG|\+A(?:St|CR|Eh|Sb|Rm|Ba|MC))[A-Za-z0-9+/]{5,6}={0,2}(?![\w+/=])",
    ),
    row("Azure key", ("jqqj99",), r"[A-Za-z0-9]{52}JQQJ99[A-Za-z0-9]{20,26}\b"),
    row("Azure DevOps token", ("azdo",), r"[A-Za-z0-9]{76}AZDO[A-Za-z0-9]{4}\b"),
    row("Azure DevOps token", ("devops", "azure"), r"(?i:(?:devops|azure)[\w .-]{0,24}[^\w\n]{1,8})(?P<value>(?=[a-z]{0,51}[2-7])[a-z2-7]{52})\b"),
    row("Azure client secret", ("q~",), r"[\w.~-]{3}\dQ~[\w.~-]{31,34}(?![\w.~-])"),
    row("DigitalOcean token", ("dop_v1_", "doo_v1_", "dor_v1_"), r"do[opr]_v1_[a-f0-9]{64}\b"),
    row("Cloudflare token", ("cfut_", "cfat_", "cfk_", "v1.0-"), r"(?:cf(?:ut|at|k)_[A-Za-z0-9]{40,60}|v1\.0-[a-z0-9]{24}-[a-z0-9]{146})\b"),
    row("Fly.io token", ("fo1_", "fm1", "fm2_"), r"(?:fo1_[\w-]{43}|fm[12][ar]?_[A-Za-z0-9+/]{100,}={0,3})"),
    row("Google API key", ("aiza",), r"AIza[\w-]{35}(?![\w-])"),
    row("Google OAuth client secret", ("gocspx-",), r"GOCSPX-[\w-]{28}"),
    row("Google OAuth refresh token", ("1//0",), r"1//0[\w-]{40,}"),
    row(
        "Google OAuth client secret",  # 24 letters and digits, used until 2021
        ("googleusercontent",),
        r"apps\.googleusercontent\.com[\s\S]{1,80}?(?<![\w-])(?P<value>(?=[^a-z]{0,23}[a-z])(?=[^A-Z]{0,23}[A-Z])[\w-]{24})(?![\w-])",
    ),
    row("Google OAuth token", ("ya29.",), r"ya29\.[\w.-]{30,}"),
    row("Heroku API key", ("hrku-",), r"HRKU-[\w-]{36,}"),
    row("Heroku API key", ("heroku",), r"(?i:heroku)[\w.-]{0,20}[^\w\n-]{1,8}(?P<value>[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12})\b"),
    row("Tencent Cloud secret id", ("akid",), r"AKID[A-Za-z0-9]{32,34}\b"),
    row("Tailscale key", ("tskey-",), r"tskey-[a-z]{2,12}-\w{7,40}(?:-\w{8,60})?"),
    row("Vault token", ("hvs.", "hvb.", "hvr."), r"hv[sbr]\.[\w-]{24,}"),
    row("Vault token", ("vault",), r"[sbr]\.(?=[A-Za-z]{0,23}\d)[A-Za-z0-9]{24}(?:\.[A-Za-z0-9]{5})?(?![\w.])"),
    row("Vault unseal key", ("unseal",), r"(?i:unseal[\w ]{0,12}[: ]{1,3})(?P<value>[A-Za-z0-9+/]{43}[A-Za-z0-9+/=])(?![\w+/=])"),
    row("Yandex Cloud key", ("aqvn", "ycajea", "t1."), r"(?:AQVN[\w-]{35,38}|YCAJEA?[\w-]{19,}|t1\.[\w-]{50,}=*\.[\w-]{80,})"),
    row("hybrid server token", ("hybrid-",), r"hybrid-(?=[^\d\s]{0,42}\d)(?=[^A-Z\s]{0,42}[A-Z])[\w-]{43}(?![\w-])"),
    # models
    row("Anthropic key", ("sk-ant-",), r"sk-ant-[\w-]{24,}"),
    row("ElevenLabs key", ("sk_",), r"sk_[a-f0-9]{48}\b"),
    row("Groq key", ("gsk_",), r"gsk_[A-Za-z0-9]{40,}\b"),
    row("Hugging Face token", ("hf_", "api_org_"), r"(?:hf_|api_org_)[A-Za-z0-9]{30,}\b"),
    row(
        "OpenAI key",
        ("sk-",),
        r"sk-(?:(?:proj|svcacct|admin|None)-[\w-]{20,}|[A-Za-z0-9]{16,}T3BlbkFJ[A-Za-z0-9]{16,}|[A-Za-z0-9]{28,}|(?=[A-Za-z]{0,20}\d)(?=[^\WA-Z]{0,20}[A-Z])(?=[^\Wa-z]{0,20}[a-z])[A-Za-z0-9]{20,31}\b)",
    ),
    row("Langfuse key", ("sk-lf-",), r"sk-lf-[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}\b"),
    row("Helicone key", ("sk-helicone-",), r"sk-helicone-[\w-]{20,}"),
    row("LangSmith key", ("lsv2_",), r"lsv2_(?:pt|sk)_[a-f0-9]{32}_[a-f0-9]{10}\b"),
    row("NVIDIA key", ("nvapi-",), r"nvapi-[\w-]{60,}"),
    row("OpenRouter key", ("sk-or-",), r"sk-or-(?:v1-)?[\w-]{32,}"),
    row("Perplexity key", ("pplx-",), r"pplx-[A-Za-z0-9]{40,}\b"),
    row("Pinecone key", ("pcsk_",), r"pcsk_[A-Za-z0-9]{5,8}_[A-Za-z0-9]{50,}\b"),
    row("Replicate token", ("r8_",), r"r8_[A-Za-z0-9]{37,}\b"),
    row("xAI key", ("xai-",), r"xai-[\w-]{60,}"),
    row("Cartesia key", ("sk_car_",), r"sk_car_[\w-]{20,}"),
    row("Cerebras key", ("csk-",), r"csk-[a-z0-9]{40,}\b"),
    row("E2B key", ("e2b_",), r"e2b_[a-f0-9]{40}\b"),
    row("Firecrawl key", ("fc-",), r"fc-[a-f0-9]{32}\b"),
    row("Fireworks key", ("fw_",), r"fw_(?=[A-Za-z]{0,20}\d)[A-Za-z0-9]{22,}\b"),
    row("Jina key", ("jina_",), r"jina_[\w-]{40,}"),
    row("LlamaCloud key", ("llx-",), r"llx-[A-Za-z0-9]{40,}\b"),
    row("RunPod key", ("rpa_",), r"rpa_[A-Za-z0-9]{40,}\b"),
    row("Tavily key", ("tvly-",), r"tvly-(?:[a-z]{3,5}-)?[\w-]{24,}"),
    row("Voyage key", ("pa-",), r"pa-(?=[^\d\s]{0,40}\d)(?=[^A-Z\s]{0,40}[A-Z])[\w-]{40,48}(?![\w-])"),
    row("Weights & Biases key", ("wandb",), r"(?i:wandb[\w.-]{0,20}[^\w\n]{1,8}(?:login )?)(?P<value>(?:local-)?[a-f0-9]{40})\b"),
    row("Weights & Biases key", ("wandb_v1_",), r"wandb_v1_[\w-]{30,}"),
    # code and packages
    row("Atlassian token", ("atatt", "atctt"), r"AT[AC]TT(?=[A-Za-z]{0,30}\d)[\w-]{20,}=?[\w-]*"),
    row(
        "Atlassian token",  # for self-hosted Jira and Confluence: 12 digits, a colon and 20 bytes, in Base64
        ("jira", "confluence", "atlassian"),
        r"(?:[MNO][DTjz][A-Za-z0-9]{2}){4}O[g-v][A-Za-z0-9+/]{26}(?![\w+/=])",
    ),
    row(
        "Atlassian token",  # 24 letters and digits, used until 2022
        ("atlassian", "jira", "confluence"),
        r"(?i:(?:atlassian|jira|confluence)[\w.-]{0,20}(?:key|token|secret|pass\w{0,5})[^\w\n-]{1,8})"
        r"(?P<value>(?=[^a-z]{0,23}[a-z])(?=[^A-Z]{0,23}[A-Z])[A-Za-z0-9]{24})\b",
    ),
    row("Bitbucket token", ("atbb", "bbdc-"), r"(?:ATBB[A-Za-z0-9]{24,}\b|BBDC-[A-Za-z0-9+/@_-]{40,44})"),
    row("Buildkite token", ("bkua_", "bkaj_"), r"bk(?:ua|aj)_[a-z0-9]{40,}\b"),
    row("CircleCI token", ("ccipat_", "cciprj_"), r"CCI(?:PAT|PRJ)_[A-Za-z0-9]{20,24}_[a-z0-9]{40}\b"),
    row("Clojars token", ("clojars_",), r"(?i:CLOJARS_)[a-z0-9]{60}\b"),
    row("Docker token", ("dckr_",), r"dckr_(?:pat|oat)_[\w-]{27,}"),
    row(
        "Docker registry password",
        ("auths",),
        r"auth[\\\"']{1,8}\s{0,4}:\s{0,4}[\\\"']{1,8}(?P<value>[A-Za-z0-9+/]{12,}={0,2})",
    ),
    row("Docker swarm key", ("swmtkn-", "swmkey-"), r"SWM(?:TKN|KEY)-1-[\w+/-]{40,}"),
    row("GitHub token", ("ghs_",), r"ghs_\d{1,12}_eyJ[\w-]{8,}\.[\w-]{8,}\.[\w-]{8,}"),
    row("GitHub token", ("ghp_", "gho_", "ghu_", "ghs_", "ghr_"), r"gh[pousr]_[A-Za-z0-9]{36,}"),
    row("GitHub fine-grained token", ("github_pat_",), r"github_pat_\w{60,}"),
    row(
        "GitLab token",
        ("glpat-", "gldt-", "glrt-", "glrtr-", "glwt-", "glptt-", "glcbt-", "glsoat-", "glft-", "glimt-", "glagent-", "gloas-", "glffct-"),
        r"gl(?:pat|dt|rtr?|wt|ptt|cbt|soat|ft|imt|agent|oas|ffct)-[\w.-]{20,}",
    ),
    row("GitLab session", ("_gitlab_session",), r"_gitlab_session[=:]\s{0,3}(?P<value>[a-f0-9]{32})\b"),
    row("GitLab runner token", ("gr1348941",), r"GR1348941[\w-]{20,}"),
    row("JFrog token", ("akcp", "cmvmdgtu"), r"(?:AKCp[A-Za-z0-9]{60,}|cmVmdGtu[A-Za-z0-9]{50,})\b"),
    row("Netlify token", ("nfp_",), r"nfp_[A-Za-z0-9]{36}\b"),
    row("npm token", ("npm_",), r"npm_[A-Za-z0-9]{36}\b"),
    row("npm password", (":_auth", ":_password", "_auth"), r"(?:(?<=:)|(?<![\w.-]))_(?:authToken[ =]|(?:auth|password) {0,2}=) {0,2}(?P<value>[^\s\"'$]{8,2000})"),
    row("NuGet key", ("oy2",), r"oy2[a-z0-9]{43}\b"),
    row("PyPI token", ("pypi-age",), r"pypi-AgE[IN][\w-]{50,}"),
    row("crates.io token", ("cio",), r"cio(?=[A-Za-z]{0,30}\d)[A-Za-z0-9]{32}\b"),
    row("Expo token", ("expo",), r"(?i:expo[\w.-]{0,20}[^\w\n]{1,8})(?P<value>[\w-]{40})(?![\w-])"),
    row("Vercel token", ("vcp_", "vck_", "vci_", "vca_", "vcr_", "vercel_blob_rw_"), r"(?:vc[pkiar]_[A-Za-z0-9]{24,}|vercel_blob_rw_\w{30,})\b"),
    row("Vercel token", ("vercel",), r"(?i:vercel[\w.-]{0,20}[^\w\n]{1,8})(?P<value>(?=[A-Za-z]{0,23}\d)(?=[^A-Z]{0,23}[A-Z])[A-Za-z0-9]{24})\b"),
    row("RubyGems key", ("rubygems_",), r"rubygems_[a-f0-9]{48}\b"),
    row("Sonar token", ("sqp_", "squ_", "sqa_"), r"sq[pua]_[a-f0-9]{40}\b"),
    row("Sonar token", ("sonar",), r"(?i:d?sonar[\w.-]{0,20}[^\w\n]{1,8})(?P<value>(?:sq[pua]_)?(?=[A-Za-z]{0,39}\d)[A-Za-z0-9]{40})\b"),
    row("Sourcegraph token", ("sourcegraph",), r"(?i:sourcegraph[\w.-]{0,20}[^\w\n/]{1,8})(?P<value>[a-fA-F0-9]{40})\b"),
    row("Sourcegraph token", ("sgp_", "slk_"), r"(?:sgp_(?:[a-fA-F0-9]{16}_)?(?:local_)?[a-fA-F0-9]{40}|slk_[a-f0-9]{64})\b"),
    row("Terraform token", (".atlasv1.",), r"[A-Za-z0-9]{14}\.atlasv1\.[\w-]{60,}"),
    # operations
    row("age secret key", ("age-secret-key-1",), r"AGE-SECRET-KEY-1[0-9A-Z]{58}\b"),
    row("1Password token", ("ops_eyj", "a3-"), r"(?:ops_eyJ[\w+/-]{100,}=*|A3-[A-Z0-9]{6}-(?:[A-Z0-9]{11}|[A-Z0-9]{6}-[A-Z0-9]{5})(?:-[A-Z0-9]{5}){3})"),
    row("Databricks token", ("dapi", "dose"), r"(?:dapi|dose)[a-f0-9]{32}(?:-\d)?\b"),
    row("Doppler token", ("dp.",), r"dp\.(?:pt|st|ct|sa|scim|audit)\.(?:[\w-]{2,35}\.)?[A-Za-z0-9]{40,44}\b"),
    row("Dynatrace token", ("dt0",), r"dt0[a-z]\d{2}\.[A-Z0-9]{24}\.[A-Z0-9]{64}\b"),
    row("Grafana token", ("glsa_", "glc_", "eyjrijoi"), r"(?:glsa_[A-Za-z0-9]{32}_[A-Fa-f0-9]{8}|glc_[A-Za-z0-9+/]{32,}={0,3}|eyJrIjoi[A-Za-z0-9+/]{60,}={0,3})"),
    row("LaunchDarkly key", ("sdk-", "api-"), r"(?:sdk|api)-[a-z0-9]{8}(?:-[a-z0-9]{4}){3}-[a-z0-9]{12}\b"),
    row("Octopus Deploy key", ("api-",), r"API-(?=[A-Z]{0,24}\d)[A-Z0-9]{25,31}\b"),
    row("OpenShift token", ("sha256~",), r"sha256~[\w-]{43}(?![\w-])"),
    row("New Relic key", ("nrak-", "nraa-", "nrii-", "nriq-", "nrjs-", "nrbr-", "nrra-", "nrma", "nral"), r"(?:NR(?:AK|AA|II|IQ|JS|BR|RA|MA)-[\w-]{19,}|(?:[a-f0-9]{36,40}|(?:eu|gov|jp)\d\dx[a-fx0-9]{28,40})(?:F{2,4})?-?NR(?:AL|MA)\b)"),
    row("OpenWeather key", ("openweather", "appid="), r"(?i:openweather[\w.-]{0,30}[^\w\n]{1,8}|[?&]appid=)(?P<value>[a-f0-9]{32})\b"),
    row("Elastic Cloud key", ("essu_",), r"essu_[A-Za-z0-9+/]{40,}={0,2}"),
    row("MaxMind key", ("_mmk",), r"[A-Za-z0-9]{6}_[A-Za-z0-9]{29}_mmk\b"),
    row("ImageKit key", ("private_",), r"private_(?=[^\s\d]{0,20}\d)[A-Za-z0-9+/]{26,28}=?(?![\w+/])"),
    row("YouTrack token", ("perm:", "perm-"), r"perm[:-][A-Za-z0-9+/]{6,60}={0,2}\.[A-Za-z0-9+/-]{2,40}={0,2}\.[A-Za-z0-9]{24,}"),
    row("Ory token", ("ory_",), r"ory_(?:at|rt|ac|st|pat|apikey)_[\w.-]{30,}"),
    row("PlanetScale token", ("pscale_",), r"pscale_(?:tkn|oauth|pw)_[\w.=-]{32,}"),
    row("Postman key", ("pmak-", "pmat-"), r"PMA(?:K-[a-f0-9]{24}-[a-f0-9]{34}|T-[A-Z0-9]{26})\b"),
    row("Prefect key", ("pnu_",), r"pnu_[A-Za-z0-9]{36}\b"),
    row("Pulumi token", ("pul-",), r"pul-[a-f0-9]{40}\b"),
    row("Sentry token", ("sntrys_", "sntryu_"), r"sntry(?:s_eyJ[\w+/=]{60,}|u_[a-f0-9]{64})"),
    row("Supabase token", ("sbp_", "sb_secret_"), r"(?:sbp_(?:v\d_)?[a-z0-9]{40}|sb_secret_[\w-]{20,})\b"),
    row("Bitwarden token", ("0.",), r"0\.[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}\.[A-Za-z0-9]{28,32}:[A-Za-z0-9+/]{22}=="),
    row("Databento key", ("db-",), r"db-(?=[A-Za-z]{0,28}\d)[A-Za-z0-9]{29}\b"),
    row("dbt token", ("dbtc_", "dbtu_"), r"dbt[cu]_[\w=-]{30,}"),
    row("Honeycomb key", ("ik_", "mk_", "lk_"), r"hc[a-z](?:ik|mk|lk)_[a-z0-9]{50,}\b"),
    row("Infisical token", ("st.",), r"st\.[0-9a-f]{20,}\.[0-9a-f]{32}\.[0-9a-f]{32}\b"),
    row("Neon key", ("napi_", "npg_"), r"(?:napi_[a-z0-9]{40,}|npg_[A-Za-z0-9]{12,})\b"),
    row("PostHog key", ("phx_", "phs_"), r"ph[xs]_\w{40,}"),
    row("Render key", ("rnd_",), r"rnd_[A-Za-z0-9]{28,}\b"),
    row("Sentry DSN", ("sentry",), r"https://(?P<value>[a-f0-9]{32}(?::[a-f0-9]{32})?)@(?:o\d{1,12}\.)?[\w.-]{0,40}sentry[\w.-]{0,40}/\d{1,20}", grows=False),
    row("Sentry token", ("sentry",), r"(?i:sentry[\w.-]{0,20}[^\w\n/]{1,8})(?P<value>[a-f0-9]{64})\b"),
    # money and shops
    row("Shopify token", ("shpat_", "shpca_", "shppa_", "shpss_"), r"shp(?:at|ca|pa|ss)_[a-fA-F0-9]{32}\b"),
    row("Square token", ("sq0", "eaaa"), r"(?:sq0[a-z]{3}-[\w-]{22,43}|EAAA[\w-]{56,})"),
    row("Stripe key", ("_live_", "_test_", "_prod_", "whsec_"), r"(?:[sr]k_(?:live|test|prod)_[A-Za-z0-9]{10,}|whsec_[A-Za-z0-9+/]{24,}=*)"),
    row("Plaid token", ("access-",), r"access-(?:sandbox|development|production)-[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}\b"),
    row("Adyen key", ("aqe",), r"AQE[a-z]h[A-Za-z0-9+/=]{40,}-[A-Za-z0-9+/=]{30,}-[^\s\"'<>]{8,}"),
    row("Braintree token", ("access_token$",), r"access_token\$(?:production|sandbox)\$[a-z0-9]{16}\$[a-f0-9]{32}\b"),
    row("Flutterwave key", ("flwseck",), r"FLWSECK(?:_TEST)?-[a-f0-9A-Za-z]{20,}(?:-X)?\b"),
    row("Mollie key", ("live_", "test_"), r"(?:live|test)_(?=[A-Za-z]{0,29}\d)(?=[^A-Z]{0,29}[A-Z])[A-Za-z0-9]{30}\b"),
    row("Lob key", ("live_", "test_"), r"(?:live|test)_(?:pub_)?[a-f0-9]{31,35}\b"),
    row("Paddle key", ("pdl_",), r"pdl_(?:live|sdbx)_apikey_\w{40,}"),
    row("PayPal secret", ("paypal",), r"(?i:paypal[\w.-]{0,20}[^\w\n]{1,8})(?P<value>[AE](?=[^\d\s]{0,60}\d)[\w-]{59,79})(?![\w-])"),
    row("PayPal token", ("a21a", "a101."), r"A(?:21AA|101\.)[\w.-]{60,}"),
    row("Razorpay key", ("rzp_",), r"rzp_(?:live|test)_[A-Za-z0-9]{14}\b"),
    row("Shippo token", ("shippo_",), r"shippo_(?:live|test)_[a-f0-9]{40}\b"),
    # talk and mail
    row("Discord webhook", ("discord",), r"https://discord(?:app)?\.com/api/webhooks/\d{17,20}/[\w-]{60,}"),
    row("Discord token", ("mfa.",), r"mfa\.[\w-]{80,}"),
    row("Discord bot token", (".",), r"[MNO][DTjz][A-Za-z\d_-]{22,27}\.[\w-]{6}\.[\w-]{27,38}(?![\w-])"),
    row("Mailchimp key", ("-us",), r"[a-f0-9]{32}-us\d{1,2}\b"),
    row("Mailgun key", ("key-",), r"key-(?=[a-z]{0,30}\d)[a-z0-9]{32}\b"),
    row("Mailgun key", ("mailgun", "mg."), r"[a-f0-9]{32}-[a-f0-9]{8}-[a-f0-9]{8}\b"),
    row("Microsoft Teams webhook", ("office.com", "office365.com"), r"https://(?:outlook\.office(?:365)?\.com/webhook|[\w-]+\.webhook\.office\.com/webhookb2)/[\w@/%-]{80,}"),
    row("SendGrid key", ("sg.",), r"SG\.[\w=-]{20,24}\.[\w=-]{39,50}"),
    row("Brevo key", ("xkeysib-", "xsmtpsib-"), r"x(?:key|smtp)sib-[a-f0-9]{64}-\w{16}\b"),
    row("Slack token", ("xox", "xapp-"), r"(?:xox[abcdeoprs](?:\.xox[bp])?-[\w%/+-]{10,}|xapp-\d-[\w-]{20,})"),
    row("Slack webhook", ("hooks.slack.com",), r"(?:https?://)?hooks\.slack\.com/(?:services|workflows|triggers)/[\w+/]{40,}"),
    row("Telegram bot token", (":aa",), r"\d{8,10}:AA[\w-]{32,33}(?![\w-])"),
    row("Telegram bot token", ("telegram", "tgram"), r"\d{8,10}:[\w-]{35}(?![\w-])"),
    row("Twilio key", ("sk", "ac"), r"(?:SK|AC)(?=[a-z]{0,31}\d)[a-f0-9]{32}\b"),
    row("Firebase server key", (":apa91b",), r"AAAA[\w-]{7}:APA91b[\w-]{100,}"),
    row("Intercom token", ("dg9ro",), r"dG9rO[A-Za-z0-9+/]{50,60}={0,2}"),
    row("Mailgun key", ("-",), r"[a-f0-9]{32}-[a-f0-9]{8}-[a-f0-9]{8}(?![\w-])"),
    row("Mandrill key", ("md-",), r"md-(?=[^\d\s]{0,21}\d)(?=[^A-Z\s]{0,21}[A-Z])[\w-]{22}(?![\w-])"),
    row("OneSignal key", ("os_v2_",), r"os_v2_(?:app|org)_[a-z2-7]{40,}"),
    row("Resend key", ("re_",), r"re_[A-Za-z0-9]{6,10}_[A-Za-z0-9]{20,}\b"),
    row("Twitter bearer token", ("aaaaaaaaaaaaaaaaaaaaa",), r"A{21,22}[A-Za-z0-9%]{60,}"),
    row("Twitch token", ("oauth:",), r"oauth:(?=[a-z]{0,29}\d)[a-z0-9]{30}\b"),
    row("PubNub key", ("sec-c-", "sub-c-"), r"(?:sec-c-[A-Za-z0-9+/]{40,}|sub-c-[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})"),
    row("Ably key", ("ably",), r"[\w-]{6}\.[\w-]{6}:[\w-]{43}(?![\w-])"),
    row("Matrix token", ("syt_",), r"syt_[A-Za-z0-9+/=]{2,60}_[A-Za-z0-9]{20}_[A-Za-z0-9]{6}\b"),
    row("Zapier webhook", ("hooks.zapier.com",), r"hooks\.zapier\.com/hooks/catch/\d{1,12}/\w{5,}"),
    # work
    row("Airtable token", ("pat",), r"pat[A-Za-z0-9]{14}\.[a-f0-9]{64}\b"),
    row("Airtable token", (".v1.",), r"oaa[A-Za-z0-9]{14}\.v1\.[\w=-]{50,2000}\.[a-f0-9]{64}\b"),
    row("key in a node's URL", ("infura.io", "alchemy.com"), r"(?:infura\.io/(?:ws/)?v3|alchemy\.com/(?:nft/)?v[23])/(?P<value>[\w-]{32})(?![\w-])"),
    row("Alchemy key", ("alcht_",), r"alcht_[A-Za-z0-9]{30}\b"),
    row("Asana token", ("asana",), r"\d{1,20}/\d{12,60}(?:/\d{12,60})?:[A-Za-z0-9]{32,}\b"),
    row("Asana token", ("asana",), r"(?i:asana[\w.-]{0,20}[^\w\n-]{1,8})(?P<value>(?=[A-Za-z]{0,30}\d)(?=\d{0,30}[A-Za-z])[A-Za-z0-9]{32,40})\b"),
    row("Duffel token", ("duffel_",), r"duffel_(?:test|live)_[\w-]{40,}"),
    row("EasyPost key", ("ezak", "eztk"), r"EZ[AT]K[A-Za-z0-9]{54}\b"),
    row("Facebook token", ("eaa",), r"EAA[A-Za-z0-9]{80,}\b"),
    row("Instagram token", ("igqv", "igaa"), r"IG(?:QV|AA)(?=[A-Za-z]{0,60}\d)[\w-]{80,}"),
    row("Facebook app token", ("|", "%7c"), r"\d{15,17}(?:\||%7C)[\w-]{27,40}"),
    row("Figma token", ("figd_",), r"figd_[\w-]{38,}"),
    row("Figma token", ("figma",), r"(?i:figma[\w.-]{0,20}[^\w\n-]{1,8})(?P<value>\d{4,8}-[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})\b"),
    row("HubSpot token", ("pat-",), r"pat-(?:na|eu|ap)\d-[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}\b"),
    row("HubSpot key", ("hubspot",), r"(?i:hubspot)[\w.-]{0,20}[^\w\n-]{1,8}(?P<value>[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12})\b"),
    row("Linear key", ("lin_api_", "lin_oauth_"), r"lin_(?:api|oauth)_[A-Za-z0-9]{40,}\b"),
    row("Mapbox token", ("sk.eyj", "tk.eyj"), r"[st]k\.eyJ[\w-]{20,}\.[\w-]{20,}"),
    row("Notion token", ("ntn_", "secret_"), r"(?:ntn_[A-Za-z0-9]{40,50}|secret_[A-Za-z0-9]{43})\b"),
    row("Typeform token", ("tfp_",), r"tfp_[\w.=-]{40,}"),
    row("Asana token", ("/",), r"\d/\d{12,20}(?:/\d{12,20})?:[a-f0-9]{32}\b"),
    row("ClickUp token", ("pk_",), r"pk_\d{5,12}_[A-Z0-9]{32}\b"),
    row("Contentful token", ("cfpat-",), r"CFPAT-[\w-]{43}(?![\w-])"),
    row("Dropbox token", ("sl.",), r"sl\.(?:u\.)?(?=[^\d\s]{0,80}\d)[\w-]{100,}"),
    row("Salesforce token", ("00d",), r"00D[A-Za-z0-9]{12,15}![\w.]{80,}"),
    row("Trello token", ("atta",), r"ATTA[a-f0-9]{64}\b"),
    row("WakaTime key", ("waka_",), r"waka_[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}\b"),
    # of no single vendor
    row("password in .netrc", ("machine ", "default "), r"(?:machine\s{1,4}\S{1,120}|default)\s{1,8}(?:login\s{1,4}\S{1,120}\s{1,8})?password\s{1,4}(?P<value>[^\s$]{3,})"),
    row("password in .pgpass", (":5432:", ":5433:", ":6432:", ":*:"), r"[\w.*-]{1,80}:(?:543[23]|6432|\*):[\w*.-]{1,60}:[\w*.@-]{1,60}:(?P<value>[^\s:$*\"'][^\s:$]{2,})"),
    row("WordPress secret", ("define",), r"define\(\s{0,4}[\"'](?:DB_PASSWORD|(?:SECURE_|LOGGED_IN_)?AUTH_(?:KEY|SALT)|(?:LOGGED_IN|NONCE)_(?:KEY|SALT))[\"'],\s{0,8}[\"'](?P<value>[^\"'\n]{4,})"),
    row("password in a Dockerfile", ("env ", "arg "), r"(?:ENV|ARG)\s{1,4}\w{0,40}(?:PASS(?:WORD|WD)?|SECRET|TOKEN|API_?KEY)\w{0,10}[ =](?P<value>(?=[^\s\d]{0,60}\d)[^\s$\"']{6,})"),
    row("password hash", ("$2", "$1$", "$5$", "$6$", "$y$", "$argon2", "$apr1$", "$scrypt$", "pbkdf2_", "{ssha"), r"(?:\$2[abxy]\$\d\d\$[./A-Za-z0-9]{53}|\$(?:[156y7]|gy|apr1|argon2(?:id|i|d)|scrypt)\$[^\s\"'<>]{20,}|pbkdf2_sha\d{1,3}\$\d{1,8}\$[^\s\"'<>]{20,}|\{SSHA\d{0,3}\}[A-Za-z0-9+/=]{28,})"),
    row("Bitcoin private key", ("5", "k", "l"), r"(?:[KL][1-9A-HJ-NP-Za-km-z]{51}|5[HJK][1-9A-HJ-NP-Za-km-z]{49})(?<=[\dA-Za-z])(?![\w/+=])"),
    row("Bitcoin private key", ("xprv", "yprv", "zprv"), r"[xyz]prv[1-9A-HJ-NP-Za-km-z]{100,}"),
    row("seed phrase", ("seed", "mnemonic", "phrase"), r"(?:[Ss]eed|[Mm]nemonic|[Pp]hrase)[^\n:=]{0,24}[:=\n]\s{0,4}[\"']?(?P<value>(?:[a-z]{3,8} ){11,23}[a-z]{3,8})(?![a-z ]*[a-z]{9})"),
    row(
        "password of a command",
        ("sshpass", " login", "plink", "pscp", "winscp"),
        r"(?:sshpass|(?:docker|podman|helm registry|az|oc|argocd|vault|heroku|npm|psftp)[ \w-]{0,20} login|plink|pscp)\b[^\n|;&]{0,200}?\s(?:-p|-pw|--password)"
        r"[ =]{0,2}[\"']?(?P<value>[^\s\"'$<-][^\s\"']{3,})",
    ),
    row("password of a command", ("mysql", "mariadb", "7z"), r"(?:mysql\w{0,10}|mariadb\w{0,10}|mysqldump|7z[a]?)\b[^\n|;&]{0,200}?\s-p[\"']?(?P<value>[^\s\"'$<-][^\s\"']{3,})"),
    row("password of a command", ("redis-cli", "ldap", "htpasswd", "storepass", "passin", "passout", "zip -p", "pgpassword", "smbclient"), r"(?:redis-cli\b[^\n|;&]{0,120}?\s-a\s|ldap\w{3,8}\b[^\n|;&]{0,200}?\s-w\s|htpasswd\s-\w{0,5}b\w{0,3}\s\S{1,80}\s\S{1,80}\s|-(?:store|key)pass\s|-pass(?:in|out)\spass:|zip -P\s|PGPASSWORD=|smbclient\b[^\n|;&]{0,120}?-U\s\S{1,60}%)[\"']?(?P<value>[^\s\"'$<-][^\s\"']{3,})"),
    row("password of a command", ("--password-stdin",), r"echo\s{1,4}(?:-n\s{1,4})?[\"']?(?P<value>[^\s\"'$<`-][^\s\"']{3,})[\"']?\s{0,4}\|[^\n|]{0,200}?--password-stdin"),
    row(
        "password of a command",
        ("openssl", "net use", "mongo", "sqlcmd", "bcp ", "ipmitool", "freerdp", "lftp", "rootpw"),
        r"(?:openssl\b[^\n|;&]{0,120}?\s-k\s|net use\b[^\n|;&]{0,120}?/user:\S{1,60}\s|mongo\w{0,8}\b[^\n|;&]{0,200}?\s-p[ =]?"
        r"|(?:sqlcmd|bcp|ipmitool)\b[^\n|;&]{0,200}?\s-P[ =]?|xfreerdp\b[^\n|;&]{0,200}?\s/p:|lftp\b[^\n|;&]{0,80}?-u\s\S{1,40},"
        r"|rootpw\s{1,4}(?:--(?:plaintext|iscrypted)\s{1,4})?)[\"']?(?P<value>(?=[^\s\d]{0,60}\d)[^\s\"'$<-][^\s\"']{3,})",
    ),
    row("secret of a network device", ("community", "password 7", "key 7", "secret "), r"(?:snmp-server community|(?:password|key|secret)(?-i: [4-9]))\s(?P<value>(?=[^\s\d]{0,60}\d)[^\s\"'<>]{6,})"),
    row("app password", ("pass",), r"(?i:pass(?:word|wd|code)?[\"']?\s{0,3}[:=]\s{0,3}[\"']?)(?P<value>[a-z]{4}(?: [a-z]{4}){3})(?![\w ])"),
    row("app password", ("pass",), r"(?i:pass(?:word|wd|code)?[\"']?\s{0,3}[:=]\s{0,3}[\"']?)(?P<value>(?=[a-z-]{0,17}\d)[a-z0-9]{4}(?:-[a-z0-9]{4}){3})(?![\w-])"),
    row("recovery code", ("recovery", "backup"), r"(?i:(?:recovery|backup)[ _-]?codes?\W{1,5})(?P<value>(?=[a-z -]{0,60}\d)[a-z0-9]{4,10}(?:-[a-z0-9]{4,10}){1,7})(?![\w-])"),
    row("password in SQL", ("identified", "password"), r"(?:[Ii](?i:dentified)\s{1,4}(?i:with\s{1,4}\S{1,40}\s{1,4})?(?i:by|as)\s{1,4}(?i:password\s{1,4})?|[Pp](?i:assword)\s{1,4})'(?P<value>[^'\n]{3,})"),
    row(
        "private key",  # without its first line, or in Base64 once more, as in a kubeconfig
        ("lsltls1crudjt", "ls0tls1crudjt", "miib", "miic", "miie", "miig", "miij", "miis", "mhcc", "mc4caqaw", "migh", "b3blbnnzac1rzxkt"),
        r"(?:LS0tLS1CRUdJTi(?:BSU0EgU|BQUklW|BFQyBQ|BFTkNSWVBU|BPUEVOU1|BEU0EgU|BQR1AgUF)[A-Za-z0-9+/]{20,}"
        r"|MII[BCEGJS][A-Za-z0-9+/]{1,2}AgEAAoIB[A-Za-z0-9+/]{20,}|MII[BCEGJS][A-Za-z0-9+/]{1,2}IBA[A-Za-z0-9+/](?:AN|KC|BA)[A-Za-z0-9+/]{40,}"
        r"|MC4CAQAwBQYDK2V[A-Za-z0-9+/]{40,}|M(?:Hc|Gk)CAQEE[A-Za-z0-9+/]{40,}|MIGHAgEAMBMGByqGSM[A-Za-z0-9+/]{40,}"
        r"|b3BlbnNzaC1rZXktdjE[A-Za-z0-9+/]{40,})",
    ),
    row("JSON web token", ("eyj",), r"eyJ(?<![\w-]eyJ)[\w-]{8,}\.eyJ[\w-]{8,}(?:\.[\w-]*)?"),
    row(
        "authorization header",
        ("bearer ", "basic "),
        r"(?i:(?:bearer|basic) {1,3})(?P<value>(?=[\w+/=.~-]{0,80}\d)[\w+/=.~-]{20,})",
    ),
    row(
        "authorization header",
        ("authorization", "-token", "-key"),
        r"[AaPpXx](?i:(?:uthorization|(?:pi|ccess|uth|rivate|-api)-(?:key|token))"  # a literal first letter is found faster
        r"[\"']?\s{0,2}:\s{0,3}[\"']?(?:[a-z][\w-]{1,20} {1,3})?)(?P<value>(?=[\w+/=.~@-]{0,80}\d)[\w+/=.~@-]{11,})",
    ),
    row(
        "session cookie",
        ("cookie",),
        r"(?i:cookie[\"']?\s{0,2}:\s{0,3}[\"']?(?:[^;\n]{0,200};\s?){0,8}[\w.-]{0,40}(?:sess|sid|auth|token)"
        r"[\w.-]{0,20}=)(?P<value>[^\s;\"']{8,})",
    ),
    row(
        "curl password",
        ("curl",),
        r"(?:-u|--user)[ =]{1,3}[\"']?[^\s:\"']{0,64}[\"']?:[\"']?(?P<value>[^\s\"'$]{3,64})",
    ),
    row("curl password", ("curl",), r"(?:-u|--user)[ =]{1,3}[\"']?(?P<value>(?=[^\s:\"']{0,63}\d)[^\s:\"'$]{10,64}):[\"'\s]"),
    row("curl password", ("curlopt_",), r"CURLOPT_\w{0,20}(?:PASSWORD|PWD|BEARER), {0,4}[\"'](?P<value>[^\"'\n]{6,200})"),
    row("secure string", ("convertto-securestring",), r"(?i:convertto-securestring(?:\s{1,3}-(?!key)\w{1,20}){0,4}\s{1,3})[\"'](?P<value>[^\"'\n$]{3,})"),
    row("redis password", ("redis-cli",), r"redis-cli(?: [^\n]{0,80})? -a [\"']?(?P<value>[^\s\"'$<-][^\s\"']{5,})"),
    row("password in a data source", ("@tcp(", "@unix("), r"[\w.-]{1,60}:(?P<value>[^\s:\"'<>{}$*]{3,100})@(?:tcp|unix)\(", grows=False),
    row("basic authentication", ("basic_auth", "basicauth", "basic-auth"), r"(?i:basic[_-]?auth[\w-]{0,20}[\"']?\s{0,3}[:=]\s{0,3}[\"']?)[\w.@-]{1,60}:(?P<value>(?=[^\s\d]{0,60}\d)[^\s\"'<>$]{6,})"),
    row(
        "password in a URL",
        ("://",),
        r"://[^\s:/@\"'<>]{0,64}:(?P<value>[^\s/@\"'<>{}$*]{3,})@[\w\[]",
        grows=False,
    ),
)  # fmt: skip

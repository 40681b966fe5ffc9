"""The formats of credentials that vendors publish: data for `privacy.scan`.

A token starts where no letter, digit or underscore stands before it. The keywords, in lower case, say
whether a pattern is worth trying on a text at all; the part that counts is the group `value` where a
pattern has one, or else all of it.
"""

from __future__ import annotations

from typing import NamedTuple


class Credential(NamedTuple):
    name: str
    keywords: tuple[str, ...]
    pattern: str


_ = Credential

CREDENTIALS = (
    # clouds
    _("AWS access key id", ("akia", "asia", "abia", "acca"), r"A(?:KIA|SIA|BIA|CCA)[A-Z2-7]{16}\b"),
    _(
        "AWS secret access key",
        ("aws",),
        r"(?i:aws_?.{0,20}?(?:secret|key).{0,20}?[=:]\s{0,3}[\"']?)(?P<value>[A-Za-z0-9/+]{40})(?![\w/+=])",
    ),
    _("AWS Bedrock API key", ("absk", "bedrock-api-key-"), r"(?:ABSK|bedrock-api-key-)[A-Za-z0-9+/]{60,}=*"),
    _("Alibaba Cloud access key", ("ltai",), r"LTAI[A-Za-z0-9]{17,26}\b"),
    _(
        "Azure storage key",
        ("accountkey", "sharedaccesskey"),
        r"(?i:(?:Account|SharedAccess)Key=)(?P<value>[\w+/]{40,}={0,2})",
    ),
    _("Azure client secret", ("q~",), r"[\w.~-]{3}\dQ~[\w.~-]{31,34}(?![\w.~-])"),
    _("DigitalOcean token", ("dop_v1_", "doo_v1_", "dor_v1_"), r"do[opr]_v1_[a-f0-9]{64}\b"),
    _("Fly.io token", ("fo1_", "fm1", "fm2_"), r"(?:fo1_[\w-]{43}|fm[12][ar]?_[A-Za-z0-9+/]{100,}={0,3})"),
    _("Google API key", ("aiza",), r"AIza[\w-]{35}(?![\w-])"),
    _("Google OAuth client secret", ("gocspx-",), r"GOCSPX-[\w-]{28}"),
    _("Google OAuth token", ("ya29.",), r"ya29\.[\w.-]{30,}"),
    _("Heroku API key", ("hrku-",), r"HRKU-[\w-]{36,}"),
    _("Tencent Cloud secret id", ("akid",), r"AKID[A-Za-z0-9]{32,34}\b"),
    _("Vault token", ("hvs.", "hvb.", "hvr."), r"hv[sbr]\.[\w-]{24,}"),
    _("Yandex Cloud key", ("aqvn", "ycajea", "t1."), r"(?:AQVN[\w-]{35,38}|YCAJEA?[\w-]{19,}|t1\.[\w-]{50,}=*\.[\w-]{80,})"),
    # models
    _("Anthropic key", ("sk-ant-",), r"sk-ant-[\w-]{24,}"),
    _("Groq key", ("gsk_",), r"gsk_[A-Za-z0-9]{40,}\b"),
    _("Hugging Face token", ("hf_", "api_org_"), r"(?:hf_|api_org_)[A-Za-z0-9]{30,}\b"),
    _(
        "OpenAI key",
        ("sk-",),
        r"sk-(?:(?:proj|svcacct|admin|None)-[\w-]{20,}|[A-Za-z0-9]{16,}T3BlbkFJ[A-Za-z0-9]{16,}|[A-Za-z0-9]{32,})",
    ),
    _("OpenRouter key", ("sk-or-",), r"sk-or-(?:v1-)?[\w-]{32,}"),
    _("Perplexity key", ("pplx-",), r"pplx-[A-Za-z0-9]{40,}\b"),
    _("Replicate token", ("r8_",), r"r8_[A-Za-z0-9]{37,}\b"),
    _("xAI key", ("xai-",), r"xai-[A-Za-z0-9]{60,}\b"),
    # code and packages
    _("Atlassian token", ("atatt3", "atctt3"), r"AT[AC]TT3[\w-]{60,}=?[\w-]*"),
    _("Bitbucket token", ("atbb",), r"ATBB[A-Za-z0-9]{24,}\b"),
    _("Clojars token", ("clojars_",), r"(?i:CLOJARS_)[a-z0-9]{60}\b"),
    _("Docker token", ("dckr_",), r"dckr_(?:pat|oat)_[\w-]{27,}"),
    _("GitHub token", ("ghp_", "gho_", "ghu_", "ghs_", "ghr_"), r"gh[pousr]_[A-Za-z0-9]{36,}\b"),
    _("GitHub fine-grained token", ("github_pat_",), r"github_pat_\w{60,}"),
    _(
        "GitLab token",
        ("glpat-", "gldt-", "glrt-", "glptt-", "glcbt-", "glsoat-", "glft-", "glimt-", "glagent-", "gloas-", "glffct-"),
        r"gl(?:pat|dt|rt|ptt|cbt|soat|ft|imt|agent|oas|ffct)-[\w.-]{20,}",
    ),
    _("GitLab runner token", ("gr1348941",), r"GR1348941[\w-]{20,}"),
    _("JFrog token", ("akcp", "cmvmdgtu"), r"(?:AKCp[A-Za-z0-9]{60,}|cmVmdGtu[A-Za-z0-9]{50,})\b"),
    _("npm token", ("npm_",), r"npm_[A-Za-z0-9]{36}\b"),
    _("NuGet key", ("oy2",), r"oy2[a-z0-9]{43}\b"),
    _("PyPI token", ("pypi-ageic",), r"pypi-AgEI[\w-]{50,}"),
    _("RubyGems key", ("rubygems_",), r"rubygems_[a-f0-9]{48}\b"),
    _("Sonar token", ("sqp_", "squ_", "sqa_"), r"sq[pua]_[a-f0-9]{40}\b"),
    _("Sourcegraph token", ("sgp_",), r"sgp_(?:[a-fA-F0-9]{16}_|local_)?[a-fA-F0-9]{40}\b"),
    _("Terraform token", (".atlasv1.",), r"[A-Za-z0-9]{14}\.atlasv1\.[\w-]{60,}"),
    # operations
    _("age secret key", ("age-secret-key-1",), r"AGE-SECRET-KEY-1[0-9A-Z]{58}\b"),
    _("1Password token", ("ops_eyj", "a3-"), r"(?:ops_eyJ[\w+/-]{100,}=*|A3-[A-Z0-9]{6}-(?:[A-Z0-9]{11}|[A-Z0-9]{6}-[A-Z0-9]{5})(?:-[A-Z0-9]{5}){3})"),
    _("Databricks token", ("dapi",), r"dapi[a-f0-9]{32}(?:-\d)?\b"),
    _("Doppler token", ("dp.",), r"dp\.(?:pt|st|ct|sa|scim|audit)\.(?:[\w-]{2,35}\.)?[A-Za-z0-9]{40,44}\b"),
    _("Dynatrace token", ("dt0",), r"dt0[a-z]\d{2}\.[A-Z0-9]{24}\.[A-Z0-9]{64}\b"),
    _("Grafana token", ("glsa_", "glc_", "eyjrijoi"), r"(?:glsa_[A-Za-z0-9]{32}_[A-Fa-f0-9]{8}|glc_[A-Za-z0-9+/]{32,}={0,3}|eyJrIjoi[A-Za-z0-9+/]{60,}={0,3})"),
    _("OpenShift token", ("sha256~",), r"sha256~[\w-]{43}(?![\w-])"),
    _("New Relic key", ("nrak-", "nrii-", "nrjs-", "nral"), r"NR(?:AK|II|JS|AL)-[\w-]{19,}"),
    _("PlanetScale token", ("pscale_",), r"pscale_(?:tkn|oauth|pw)_[\w.=-]{32,}"),
    _("Postman key", ("pmak-",), r"PMAK-[a-f0-9]{24}-[a-f0-9]{34}\b"),
    _("Prefect key", ("pnu_",), r"pnu_[A-Za-z0-9]{36}\b"),
    _("Pulumi token", ("pul-",), r"pul-[a-f0-9]{40}\b"),
    _("Sentry token", ("sntrys_", "sntryu_"), r"sntry(?:s_eyJ[\w+/=]{60,}|u_[a-f0-9]{64})"),
    _("Supabase token", ("sbp_", "sb_secret_"), r"(?:sbp_[a-f0-9]{40}|sb_secret_[\w-]{20,})\b"),
    # money and shops
    _("Shopify token", ("shpat_", "shpca_", "shppa_", "shpss_"), r"shp(?:at|ca|pa|ss)_[a-fA-F0-9]{32}\b"),
    _("Square token", ("sq0", "eaaa"), r"(?:sq0[a-z]{3}-[\w-]{22,43}|EAAA[\w-]{56,})"),
    _("Stripe key", ("_live_", "_test_", "_prod_", "whsec_"), r"(?:[sr]k_(?:live|test|prod)_[A-Za-z0-9]{10,}|whsec_[A-Za-z0-9+/]{24,}=*)"),
    _("Plaid token", ("access-",), r"access-(?:sandbox|development|production)-[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}\b"),
    # talk and mail
    _("Discord webhook", ("discord",), r"https://discord(?:app)?\.com/api/webhooks/\d{17,20}/[\w-]{60,}"),
    _("Discord bot token", ("discord",), r"[MNO][A-Za-z\d_-]{23,27}\.[\w-]{6}\.[\w-]{27,38}(?![\w-])"),
    _("Mailchimp key", ("-us",), r"[a-f0-9]{32}-us\d{1,2}\b"),
    _("Mailgun key", ("key-",), r"key-[a-f0-9]{32}\b"),
    _("Microsoft Teams webhook", ("webhook.office.com",), r"https://[\w-]+\.webhook\.office\.com/webhookb2/[\w@/-]{80,}"),
    _("SendGrid key", ("sg.",), r"SG\.[\w=-]{20,24}\.[\w=-]{39,50}"),
    _("Brevo key", ("xkeysib-", "xsmtpsib-"), r"x(?:key|smtp)sib-[a-f0-9]{64}-\w{16}\b"),
    _("Slack token", ("xox", "xapp-"), r"(?:xox[abeoprs](?:\.xox[bp])?-[\w-]{10,}|xapp-\d-[\w-]{20,})"),
    _("Slack webhook", ("hooks.slack.com",), r"(?:https?://)?hooks\.slack\.com/(?:services|workflows|triggers)/[\w+/]{40,}"),
    _("Telegram bot token", (":aa",), r"\d{8,10}:AA[\w-]{33}(?![\w-])"),
    _("Twilio key", ("sk", "ac"), r"(?:SK|AC)[a-f0-9]{32}\b"),
    # work
    _("Airtable token", ("pat",), r"pat[A-Za-z0-9]{14}\.[a-f0-9]{64}\b"),
    _("Asana token", ("asana",), r"[12]/\d{12,20}(?:/\d{12,20})?:[a-f0-9]{32}\b"),
    _("EasyPost key", ("ezak", "eztk"), r"EZ[AT]K[A-Za-z0-9]{54}\b"),
    _("Facebook token", ("eaa",), r"EAA[A-Za-z0-9]{80,}\b"),
    _("Facebook app token", ("facebook", "fb"), r"\d{15,17}(?:\||%7C)[\w-]{27,40}"),
    _("Figma token", ("figd_",), r"figd_[\w-]{38,}"),
    _("Linear key", ("lin_api_", "lin_oauth_"), r"lin_(?:api|oauth)_[A-Za-z0-9]{40,}\b"),
    _("Notion token", ("ntn_", "secret_"), r"(?:ntn_\d{11}[A-Za-z0-9]{35}|secret_[A-Za-z0-9]{43})\b"),
    _("Typeform token", ("tfp_",), r"tfp_[\w.=-]{40,}"),
    # of no vendor
    _(
        "private key",
        ("private key",),
        r"-----BEGIN [A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)?-----"
        r"(?:(?:[^-]|-(?!----)){16,20000}-----END [A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)?-----"
        r"|(?:\s|\\[nr]){0,4}[A-Za-z0-9+/=]{40}[A-Za-z0-9+/=\s\\]{0,20000})",  # cut before its end
    ),
    _("private key", ("putty-user-key-file-",), r"PuTTY-User-Key-File-\d:[\s\S]{40,20000}?Private-MAC: ?[0-9a-f]{40,64}"),
    _("JSON web token", ("eyj",), r"eyJ(?<![A-Za-mo-z0-9_-]eyJ)[\w-]{8,600}\.eyJ[\w-]{8,8000}\.[\w-]{16,}"),
    _(
        "authorization header",
        ("bearer ", "basic "),
        r"(?i:(?:bearer|basic) {1,3})(?P<value>(?=[\w+/=.~-]{0,80}\d)[\w+/=.~-]{20,})",
    ),
    _(
        "authorization header",
        ("authorization", "-token", "-key"),
        r"[AaPpXx](?i:(?:uthorization|(?:pi|ccess|uth|rivate|-api)-(?:key|token))"  # sought by its first letter
        r"[\"']?\s{0,2}:\s{0,3}[\"']?(?:[a-z][\w-]{1,20} {1,3})?)(?P<value>(?=[\w+/=.~@-]{0,80}\d)[\w+/=.~@-]{11,})",
    ),
    _(
        "session cookie",
        ("cookie",),
        r"(?i:cookie[\"']?\s{0,2}:\s{0,3}[\"']?(?:[^;\n]{0,200};\s?){0,8}[\w.-]{0,40}(?:sess|sid|auth|token)"
        r"[\w.-]{0,20}=)(?P<value>[^\s;\"']{8,400})",
    ),
    _(
        "password of curl",
        ("curl",),
        r"(?:-u|--user)[ =]{1,3}[\"']?[^\s:\"']{0,64}:(?P<value>[^\s\"'$]{3,64})",
    ),
    _(
        "password of a setting",
        ("value=",),
        r"(?i:key=[\"']\w{0,40}(?:password|secret|token)[\"']\s{1,4}value=[\"'])(?P<value>[^\"'<>%$]{6,200})",
    ),
    _(
        "password in a URL",
        ("://",),
        r"(?i:[a-z][a-z0-9+.-]{1,20})://[^\s:/@\"'<>]{0,64}:(?P<value>[^\s/@\"'<>{}$*]{3,128})@[\w\[]",
    ),
)  # fmt: skip

"""The table of settings: the name, the form, the default and the meaning of each."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ollamamax.env_forms import (
    COUNT,
    address,
    box_keys,
    bucket,
    choice,
    currency,
    flag,
    http_headers,
    integer,
    names,
    networks,
    origins,
    postgres_url,
    public_keys,
    redis_url,
    region,
    regions,
    secret_key,
    share,
    tenant_shares,
    token,
    url,
)


@dataclass(frozen=True)
class Setting:
    """One environment variable: ``parse`` turns its text into the value or raises ``ValueError``."""

    name: str
    parse: Callable[[str], Any]
    default: str | None
    help: str
    secret: bool = False


SETTINGS = (
    Setting(
        "OLLAMAMAX_SECRET_KEY", secret_key, None, "Signs sessions and tokens. At least 50 characters.", secret=True
    ),
    Setting(
        "OLLAMAMAX_SECRET_BOX_KEYS",
        box_keys,
        "",
        "Keys of what is kept encrypted in Postgres, each 32 bytes in base64 (`openssl rand -base64 32`), separated by commas, the newest "
        "first: that one seals, all open. Default: one made of OLLAMAMAX_SECRET_KEY.",
        secret=True,
    ),
    Setting(
        "DATABASE_URL",
        postgres_url,
        None,
        "PostgreSQL, as `postgresql://user:password@host:port/name?sslmode=verify-full`; of several hosts (`@one:5432,two:5432/name`) "
        "the one that may be written is taken.",
        secret=True,
    ),
    Setting(
        "DATABASE_OWNER_URL",
        postgres_url,
        "",
        "The same database as the user that owns its tables, for `ollamamax prepare` and nothing else: DATABASE_URL then names a user "
        "that may read and write rows, and only add to the audit trail. Empty: DATABASE_URL's owns them.",
        secret=True,
    ),
    Setting(
        "REDIS_URL",
        redis_url,
        None,
        "Redis or Valkey 7.2 or newer; the primary that Sentinels name as `redis+sentinel://user:password@s1:26379,s2:26379,s3:26379/SERVICE/0`, "
        "or `rediss+sentinel://` for TLS, with `sentinel_username` and `sentinel_password` in the query where Sentinels want them.",
        secret=True,
    ),
    Setting(
        "OLLAMAMAX_NODE_REDIS_URL",
        redis_url,
        "",
        "Where nodes reach Redis, without user and password (each node has its own). Default: host and port of REDIS_URL. "
        "Of Sentinels that want a password it holds the one that nodes may know.",
        secret=True,
    ),
    Setting("OLLAMAMAX_HOME", Path, ".ollamamax", "Folder of data: blobs, and the embedded servers of `make up`."),
    Setting(
        "OLLAMAMAX_BLOB_STORE",
        bucket,
        "",
        "Where models' blobs and batches' files are kept, as `s3://bucket/prefix`: every process that serves them reads them there. What OLLAMAMAX_HOME "
        "holds already is read from there still. Empty: in OLLAMAMAX_HOME.",
    ),
    Setting(
        "OLLAMAMAX_S3_ENDPOINT",
        url("http", "https"),
        "",
        "Address of the server of OLLAMAMAX_BLOB_STORE and OLLAMAMAX_AUDIT_HEADS_STORE, for other ones than Amazon's.",
    ),
    Setting("OLLAMAMAX_S3_REGION", str, "us-east-1", "The bucket's region."),
    Setting(
        "OLLAMAMAX_S3_ACCESS_KEY_ID",
        str,
        "",
        "Name of the key for the bucket. Empty: the machine's own role (instance, container or web identity, as Amazon's clients find it).",
    ),
    Setting("OLLAMAMAX_S3_SECRET_ACCESS_KEY", str, "", "That key.", secret=True),
    Setting(
        "OLLAMAMAX_S3_CA",
        str,
        "",
        "File with the certificates (PEM) to trust at OLLAMAMAX_S3_ENDPOINT. Empty: those of the system.",
    ),
    Setting("HOST", str, "127.0.0.1", "Address the web process listens on."),
    Setting("PORT", integer(1, 65535), "8000", "Port the web process listens on."),
    Setting(
        "OLLAMAMAX_PUBLIC_URL",
        url("http", "https"),
        "",
        "How browsers and nodes reach this installation. Default: http://HOST:PORT.",
    ),
    Setting(
        "OLLAMAMAX_TLS_PROXY",
        flag,
        "0",
        "1 declares that a TLS proxy stands in front and sets X-Forwarded-Proto; needed to listen beyond loopback without a certificate.",
    ),
    Setting(
        "OLLAMAMAX_PROXY_ADDRESSES",
        names,
        "127.0.0.1,::1",
        "Addresses of the TLS proxy, separated by commas: only its word is taken for who the client is.",
    ),
    Setting(
        "OLLAMAMAX_TLS_CERT",
        str,
        "",
        "Certificate file (PEM, with its chain) for the web process and gateways to serve HTTPS themselves; on uvicorn a renewed one is taken within seconds.",
    ),
    Setting("OLLAMAMAX_TLS_KEY", str, "", "Private key file (PEM) of OLLAMAMAX_TLS_CERT."),
    Setting(
        "OLLAMAMAX_ALLOWED_HOSTS", names, "", "Host names to answer to besides the public URL's, separated by commas."
    ),
    Setting(
        "OLLAMA_ORIGINS",
        origins,
        "",
        "Origins whose pages may ask the inference APIs, besides those of this machine and of desktop programs, separated by commas: "
        "as `https://chat.example`, `https://*.example`, `chrome-extension://*`, or `*` for all. As Ollama reads it.",
    ),
    Setting(
        "OLLAMAMAX_ASGI_SERVER",
        choice("uvicorn", "daphne"),
        "uvicorn",
        "The ASGI server of the web process and of gateways: `uvicorn` or `daphne`.",
    ),
    Setting(
        "OLLAMAMAX_MAX_HEADER_BYTES",
        integer(4 << 10, 1 << 20),
        str(64 << 10),
        "Bytes that the request line and the headers of one request may have together; more are refused with 431.",
    ),
    Setting("OLLAMAMAX_MAX_HEADERS", integer(20, 10_000), "100", "Headers of one request; more are refused with 431."),
    Setting(
        "OLLAMAMAX_HEADER_TIMEOUT_SECONDS",
        integer(1, 600),
        "15",
        "How long the headers of a request may take; then the connection is closed.",
    ),
    Setting(
        "OLLAMAMAX_BODY_TIMEOUT_SECONDS",
        integer(1, 3600),
        "30",
        "How long the body of a request may pause; one that takes longer brings at least 500 bytes a second on average.",
    ),
    Setting(
        "OLLAMAMAX_CONNECTIONS",
        integer(64, 1_000_000),
        "20000",
        "Connections that one process may have open, and no more than its limit of open files allows; more are refused with 503.",
    ),
    Setting(
        "OLLAMAMAX_CONNECTIONS_PER_ADDRESS",
        integer(4, 1_000_000),
        "1024",
        "Connections of one address (IPv6: of one /64 network), and from this machine itself 16 times as many; more are refused "
        "with 429. Behind a TLS proxy: requests under way of one address that the proxy names, whose own connections are not limited.",
    ),
    Setting(
        "OLLAMAMAX_LEAVE_SECONDS",
        integer(0, 15),
        "5",
        "How long a web process or gateway that is told to stop still accepts connections, while `/readyz` says 503 and every "
        "answer `connection: close`; and how long a connection that rests is still answered. It is over sooner when for a fifth of that nobody was connected.",
    ),
    Setting(
        "OLLAMAMAX_GATEWAY_PORT",
        integer(1, 65535),
        "",
        "Port of gateways in processes of their own (`ollamamax gateway`; `make up` starts them). Empty: none, the web process does it all.",
    ),
    Setting("OLLAMAMAX_GATEWAYS", integer(1, 64), "1", "How many of them `make up` starts; they share the port."),
    Setting(
        "OLLAMAMAX_REGION",
        region,
        "",
        "Region that this web process or gateway is in: of equally good nodes it prefers those that are not in another one. Empty: not known.",
    ),
    Setting(
        "OLLAMAMAX_OTHER_REGIONS",
        regions,
        "",
        "Regions besides that of REDIS_URL, each with a Redis of its own: the control plane publishes keys, models and nodes there too. "
        "As `eu=rediss://user:password@redis.eu:6379/0`, separated by commas. Empty: there is one region.",
        secret=True,
    ),
    Setting(
        "OLLAMAMAX_LOG_LEVEL", choice("debug", "info", "warning", "error"), "info", "Least severe log line to write."
    ),
    Setting(
        "OLLAMAMAX_MAX_BODY_BYTES",
        integer(1024, 1 << 30),
        str(32 << 20),
        "Largest body of an inference request; a larger one is refused with 413.",
    ),
    Setting(
        "OLLAMAMAX_REQUEST_DEADLINE_SECONDS",
        integer(1, 86400),
        "600",
        "How long one inference request may take, queue included.",
    ),
    Setting(
        "OLLAMAMAX_QUEUE_LENGTH",
        integer(0, 10000),
        "5000",
        "Requests that may wait for a free slot, of all tenants together; more are refused with 429.",
    ),
    Setting(
        "OLLAMAMAX_QUEUE_PER_TENANT",
        integer(0, 10000),
        "500",
        "Requests of one tenant that may wait for a free slot; more are refused with 429.",
    ),
    Setting(
        "OLLAMAMAX_INTAKE_PER_TENANT",
        integer(16, 1_000_000),
        "1024",
        "Requests of one tenant (of an address, where the key is not known) that one process takes in at once, besides as many as "
        "may wait for a slot; those that run do not count. More are refused with 429 before their bodies are read.",
    ),
    Setting(
        "OLLAMAMAX_RECORDED_REFUSALS_PER_MINUTE",
        integer(0, 1_000_000),
        "600",
        "Refused requests of one tenant of which each gateway process logs and records every one in a minute; the others are only counted, and "
        "their answers say `x-ollamamax-recorded: 0`. Of those without a good key as many are logged.",
    ),
    Setting(
        "OLLAMAMAX_MAX_KEYS_PER_TENANT",
        integer(1, 1_000_000),
        "5000",
        "Keys of one tenant that are not revoked; one more is refused with 409.",
    ),
    Setting(
        "OLLAMAMAX_MAX_ROLES_PER_TENANT",
        integer(1, 10_000),
        "200",
        "Roles that one tenant made for itself; one more is refused with 409.",
    ),
    Setting(
        "OLLAMAMAX_MAX_TEAMS_PER_TENANT",
        integer(1, 10_000),
        "1000",
        "Teams of one tenant; one more is refused with 409.",
    ),
    Setting(
        "OLLAMAMAX_MAX_SERVICE_ACCOUNTS_PER_TENANT",
        integer(1, 100_000),
        "1000",
        "Service accounts of one tenant; one more is refused with 409.",
    ),
    Setting(
        "OLLAMAMAX_MAX_POOLS_PER_TENANT",
        integer(1, 10_000),
        "200",
        "Pools of nodes of one tenant; one more is refused with 409.",
    ),
    Setting(
        "OLLAMAMAX_MAX_EXPERIMENTS_PER_TENANT",
        integer(1, 10_000),
        "100",
        "Chaos experiments of one tenant; one more is refused with 409.",
    ),
    Setting(
        "OLLAMAMAX_MAX_GRANTS_PER_TENANT",
        integer(1, 1_000_000),
        "20000",
        "Permissions on single models, nodes and pools that one tenant gave its members and teams; one more is refused with 409.",
    ),
    Setting(
        "OLLAMAMAX_MAX_IDEMPOTENCY_KEYS_PER_TENANT",
        integer(1, 1_000_000),
        "20000",
        "Creations with an Idempotency-Key that one tenant asked for within a day; one more is refused with 429.",
    ),
    Setting(
        "OLLAMAMAX_MAX_BUDGETS_PER_TENANT",
        COUNT,
        "500",
        "Budgets of one tenant; one more is refused with 409.",
    ),
    Setting(
        "OLLAMAMAX_MAX_PRICES_PER_TENANT",
        COUNT,
        "5000",
        "Prices that one tenant set for its models, those before too; one more is refused with 409.",
    ),
    Setting(
        "OLLAMAMAX_MAX_WEBHOOKS_PER_TENANT",
        COUNT,
        "50",
        "Webhooks of one tenant; one more is refused with 409.",
    ),
    Setting("OLLAMAMAX_MAX_TENANTS", COUNT, "10000", "Tenants of the installation; one more is refused with 409."),
    Setting("OLLAMAMAX_MAX_USERS", COUNT, "100000", "Users of the installation; one more is refused with 409."),
    Setting(
        "OLLAMAMAX_MAX_INVITATIONS_PER_TENANT",
        COUNT,
        "1000",
        "Invitations of one tenant that can still be accepted; one more is refused with 409.",
    ),
    Setting("OLLAMAMAX_MAX_MEMBERS_PER_TENANT", COUNT, "10000", "Members of one tenant; one more is refused with 409."),
    Setting(
        "OLLAMAMAX_MAX_IDENTITY_PROVIDERS_PER_TENANT",
        COUNT,
        "20",
        "Identity providers of one tenant; one more is refused with 409.",
    ),
    Setting(
        "OLLAMAMAX_MAX_EMAIL_DOMAINS_PER_TENANT",
        COUNT,
        "100",
        "Domains of e-mail addresses that one tenant names as its own; one more is refused with 409.",
    ),
    Setting(
        "OLLAMAMAX_MAX_SCIM_TOKENS_PER_TENANT",
        COUNT,
        "50",
        "Tokens of one tenant's directories (SCIM) that are not revoked; one more is refused with 409.",
    ),
    Setting(
        "OLLAMAMAX_MAX_APPLICATIONS_PER_TENANT",
        COUNT,
        "100",
        "Applications of one tenant that people log in to by this OpenID provider; one more is refused with 409.",
    ),
    Setting(
        "OLLAMAMAX_MAX_WORKLOADS_PER_TENANT",
        COUNT,
        "500",
        "Workloads that one tenant trusts by their issuers' word; one more is refused with 409.",
    ),
    Setting(
        "OLLAMAMAX_MAX_DIRECTORY_USERS_PER_TENANT",
        COUNT,
        "100000",
        "Users that one tenant's directories tell of by SCIM; one more is refused with 409.",
    ),
    Setting(
        "OLLAMAMAX_MAX_DIRECTORY_GROUPS_PER_TENANT",
        COUNT,
        "10000",
        "Groups that one tenant's directories tell of by SCIM; one more is refused with 409.",
    ),
    Setting(
        "OLLAMAMAX_MAX_JOIN_TOKENS_PER_TENANT",
        COUNT,
        "1000",
        "Join tokens of one tenant that hosts can still join with; one more is refused with 409.",
    ),
    Setting("OLLAMAMAX_MAX_NODES_PER_TENANT", COUNT, "10000", "Nodes of one tenant; one more is refused with 409."),
    Setting(
        "OLLAMAMAX_MAX_MODELS_PER_TENANT",
        COUNT,
        "10000",
        "Names of models of one tenant, each tag counted; one more is refused with 409.",
    ),
    Setting(
        "OLLAMAMAX_MAX_VERSIONS_PER_TENANT",
        COUNT,
        "10000",
        "Versions of models of one tenant, those that a name stood for before too; one more is refused with 409.",
    ),
    Setting(
        "OLLAMAMAX_MAX_IMAGES_PER_TENANT",
        COUNT,
        "20000",
        "Manifests of one tenant in the registry; one more that is pushed is refused with 409.",
    ),
    Setting(
        "OLLAMAMAX_MAX_MIRRORS_PER_TENANT",
        COUNT,
        "50",
        "Mirrors of other registries that one tenant may have; one more is refused with 409.",
    ),
    Setting("OLLAMAMAX_MAX_ALIASES_PER_TENANT", COUNT, "10000", "Aliases of one tenant; one more is refused with 409."),
    Setting(
        "OLLAMAMAX_MAX_UPLOADS_PER_TENANT",
        COUNT,
        "10000",
        "Blobs that one tenant sent and that no model is made of yet; one more is refused with 409.",
    ),
    Setting(
        "OLLAMAMAX_BLOB_GRACE_SECONDS",
        integer(60, 30 * 86400),
        "3600",
        "How long a blob that no version and no upload needs stays: who pulls it, or was told that it is there, has that long.",
    ),
    Setting(
        "OLLAMAMAX_MAX_SENDING_PER_TENANT",
        COUNT,
        "64",
        "Blobs and files that one tenant sends to one process at the same time; one more is refused with 429.",
    ),
    Setting(
        "OLLAMAMAX_MAX_JOBS_PER_TENANT",
        COUNT,
        "1000",
        "Pulls, pushes, creations and deletions of one tenant that are not over; one more is refused with 429.",
    ),
    Setting(
        "OLLAMAMAX_MAX_FILES_PER_TENANT",
        COUNT,
        "100000",
        "Files of one tenant, those that batches leave too, for it to upload another one; else 409.",
    ),
    Setting(
        "OLLAMAMAX_MAX_BATCHES_PER_TENANT",
        COUNT,
        "1000",
        "Batches of one tenant that have not ended; one more is refused with 429.",
    ),
    Setting(
        "OLLAMAMAX_MAX_EVALUATION_SUITES_PER_TENANT",
        COUNT,
        "200",
        "Evaluation suites of one tenant; one more is refused with 409.",
    ),
    Setting(
        "OLLAMAMAX_MAX_EVALUATION_REQUIREMENTS_PER_TENANT",
        COUNT,
        "200",
        "Requirements of one tenant that a version meets an evaluation suite before production; one more is refused with 409.",
    ),
    Setting(
        "OLLAMAMAX_MAX_EVALUATIONS_PER_TENANT",
        COUNT,
        "100",
        "Evaluations of one tenant that have not ended; one more is refused with 429.",
    ),
    Setting(
        "OLLAMAMAX_EVALUATIONS_KEPT",
        integer(1, 10_000),
        "20",
        "Ended evaluations of one version by one suite that are kept; the oldest beyond are removed when one is ordered.",
    ),
    Setting(
        "OLLAMAMAX_MAX_CONVERSATIONS_PER_TENANT",
        COUNT,
        "100000",
        "Conversations of one tenant; one more is refused with 409.",
    ),
    Setting(
        "OLLAMAMAX_MAX_BACKGROUND_PER_TENANT",
        COUNT,
        "1000",
        "Background responses of one tenant that have not ended; one more is refused with 429.",
    ),
    Setting(
        "OLLAMAMAX_QUEUE_BYTES",
        integer(1 << 20, 1 << 40),
        str(512 << 20),
        "Bytes of requests (those of 16 KiB or more) that may wait or run, of all tenants together, and that one process may have read of "
        "their bodies; more are refused with 429.",
    ),
    Setting(
        "OLLAMAMAX_QUEUE_BYTES_PER_TENANT",
        integer(1 << 20, 1 << 40),
        str(32 << 20),
        "The same of one tenant; a single request passes whatever its size.",
    ),
    Setting(
        "OLLAMAMAX_MAX_BLOB_BYTES",
        integer(1024, 1 << 50),
        str(256 << 30),
        "Largest file that a client may send to make a model of, or that is pulled from a registry.",
    ),
    Setting(
        "OLLAMAMAX_MAX_TENANT_BLOBS_BYTES",
        integer(1024, 1 << 60),
        str(1 << 40),
        "Bytes that all blobs of a tenant, of its models and of what it sent, may have together; a model that exceeds them is refused with 413.",
    ),
    Setting(
        "OLLAMAMAX_PULL_REGISTRIES",
        names,
        "registry.ollama.ai,hf.co",
        "Registries that models may be pulled from and pushed to, as `host` or `host:port`, separated by commas; no other is spoken to.",
    ),
    Setting(
        "OLLAMAMAX_MAX_FILE_BYTES",
        integer(1024, 1 << 40),
        str(200 << 20),
        "Largest file for a batch; a larger one is refused with 413.",
    ),
    Setting(
        "OLLAMAMAX_MAX_TENANT_FILES_BYTES",
        integer(1024, 1 << 50),
        str(20 << 30),
        "Bytes that all files of a tenant may have together for it to upload another one.",
    ),
    Setting(
        "OLLAMAMAX_MAX_BATCH_LINES", integer(1, 10_000_000), "50000", "Requests that the file of a batch may hold."
    ),
    Setting(
        "OLLAMAMAX_SMTP_HOST",
        str,
        "",
        "Mail server that letters are given to: invitations, new passwords, notices. Empty: no mail is sent, and what needs it says so.",
    ),
    Setting("OLLAMAMAX_SMTP_PORT", integer(1, 65535), "587", "Its port."),
    Setting(
        "OLLAMAMAX_SMTP_TLS",
        choice("starttls", "tls", "none"),
        "starttls",
        "`starttls` (mostly port 587), `tls` from the first byte (465), or `none`.",
    ),
    Setting("OLLAMAMAX_SMTP_USER", str, "", "User to log in there as. Empty: nobody logs in."),
    Setting("OLLAMAMAX_SMTP_PASSWORD", str, "", "That user's password.", secret=True),
    Setting("OLLAMAMAX_SMTP_PASSWORD_FILE", str, "", "A file that holds the password, instead."),
    Setting(
        "OLLAMAMAX_SMTP_FROM",
        str,
        "",
        "Who letters are from, as `OllamaMax <ollamamax@example.com>`. Needed where OLLAMAMAX_SMTP_HOST is set.",
    ),
    Setting(
        "OLLAMAMAX_OUTBOUND_NETWORKS",
        networks,
        "",
        "Networks that addresses chosen by tenants (webhooks, identity providers) may lie in besides public ones, as `10.1.0.0/16`, "
        "separated by commas. Tenants reach what is in there from this machine.",
    ),
    Setting(
        "OLLAMAMAX_OUTBOUND_HTTP",
        flag,
        "0",
        "1 lets such addresses begin with http:// too: what is sent there can be read on the way.",
    ),
    Setting(
        "OLLAMAMAX_WEBHOOK_LOG_DAYS",
        integer(1, 3650),
        "30",
        "Days for which events and the log of their deliveries to webhooks are kept.",
    ),
    Setting(
        "OLLAMAMAX_WEBHOOK_FAILING_DAYS",
        integer(1, 365),
        "5",
        "Days without any success after which a webhook that keeps failing is switched off.",
    ),
    Setting(
        "OLLAMAMAX_AUDIT_DAYS",
        integer(0, 36500),
        "0",
        "Days for which audit records are kept; then whole months are dropped by `ollamamax prepare` and `ollamamax audit_prune`, as the owner "
        "of the tables, each after a signed checkpoint. 0: for ever.",
    ),
    Setting(
        "OLLAMAMAX_AUDIT_HEADS_STORE",
        bucket,
        "",
        "Bucket to which controllers publish each minute where the audit chains end, signed, as `s3://bucket/prefix`; reached as OLLAMAMAX_BLOB_STORE is. "
        "`ollamamax audit verify` reads it. Let it be one that keeps objects (Object Lock). Empty: nowhere.",
    ),
    Setting(
        "OLLAMAMAX_AUDIT_KEYS",
        public_keys,
        "",
        "Public keys (64 hexadecimal digits each, separated by commas) whose signatures under checkpoints and published heads of the audit trail count; "
        "`ollamamax audit key` says which one signs here. Empty: that one alone, which is in OLLAMAMAX_HOME/audit.",
    ),
    Setting(
        "OLLAMAMAX_USAGE_DAYS",
        integer(1, 36500),
        "400",
        "Days for which the usage record of each request is kept, to a week.",
    ),
    Setting(
        "OLLAMAMAX_ROUTE_DAYS",
        integer(1, 36500),
        "14",
        "Days for which the route of each request, why it ran where it ran, is kept.",
    ),
    Setting(
        "OLLAMAMAX_USAGE_TOTALS_DAYS",
        integer(1, 36500),
        "1100",
        "Days for which the hourly sums of usage are kept; those of usage records that are kept stay whatever is set here.",
    ),
    Setting(
        "OLLAMAMAX_CURRENCY",
        currency,
        "",
        "Currency that prices such as the hourly cost of a node are in (ISO 4217, as `EUR`). Empty: costs are told without one.",
    ),
    Setting(
        "OLLAMAMAX_ENDED_DAYS",
        integer(1, 3650),
        "90",
        "Days for which keys and join tokens that were revoked or have expired, jobs that are over and sessions are kept.",
    ),
    Setting(
        "OLLAMAMAX_TENANT_GRACE_DAYS",
        integer(1, 365),
        "30",
        "Days between asking for a tenant's deletion and its removal, in which that can be taken back and its data exported.",
    ),
    Setting(
        "OLLAMAMAX_INCIDENT_DAYS",
        integer(1, 3650),
        "90",
        "Days for which incidents are kept after their end.",
    ),
    Setting(
        "OLLAMAMAX_BATCH_DAYS",
        integer(1, 3650),
        "90",
        "Days for which files of batches are kept, from when they were made and while a batch needs them, and batches after their end.",
    ),
    Setting(
        "OLLAMAMAX_RESPONSE_DAYS",
        integer(1, 3650),
        "30",
        "Days for which responses are kept, where a tenant has them kept, and conversations after their last change.",
    ),
    Setting(
        "OLLAMAMAX_MAX_TENANT_RESPONSES_BYTES",
        integer(1024, 1 << 50),
        str(10 << 30),
        "Bytes that the kept responses and conversations of a tenant may have together for it to keep another one.",
    ),
    Setting(
        "OLLAMAMAX_BACKGROUND_CONCURRENCY",
        integer(1, 10_000),
        "16",
        "Background responses that one `ollamamax batches` process has under way at once.",
    ),
    Setting(
        "OLLAMAMAX_EVALUATION_CONCURRENCY",
        integer(1, 1_000),
        "4",
        "Evaluations that one `ollamamax batches` process runs at once; the cases of each are asked one after another.",
    ),
    Setting(
        "OLLAMAMAX_BATCH_CONCURRENCY",
        integer(1, 10_000),
        "8",
        "Requests of batches that one `ollamamax batches` process has under way at once.",
    ),
    Setting(
        "OLLAMAMAX_BACKUP_RECIPIENTS",
        names,
        "",
        "Public keys of age (`age1...`) that `ollamamax backup` encrypts for, separated by commas; `ollamamax backup --new-key FILE` makes one. "
        "Empty: backups are not encrypted unless it is asked for.",
    ),
    Setting(
        "OLLAMAMAX_METRICS_ADDRESS",
        address,
        "",
        "Where each process, and each node, serves its metrics to Prometheus, as `127.0.0.1:9464`; one that finds the port taken tries the next "
        "64, and 0 is any free one. Beyond loopback only with OLLAMAMAX_METRICS_TOKEN. Empty: nowhere.",
    ),
    Setting(
        "OLLAMAMAX_METRICS_TOKEN",
        token,
        "",
        "What Prometheus sends as `Authorization: Bearer`, at least 20 characters. With it the web process and gateways serve `/metrics` on "
        "their own ports too; without it they do not.",
        secret=True,
    ),
    Setting(
        "OLLAMAMAX_METRICS_FOLDER",
        str,
        "",
        "Folder in which each process writes where its metrics are served, for `file_sd_configs` of Prometheus. Default: OLLAMAMAX_HOME/metrics.",
    ),
    Setting(
        "OLLAMAMAX_METRICS_VALUES",
        integer(1, 10_000),
        "100",
        "Tenants, and models, that the metrics of one process tell apart: the first that come; every other is `other`.",
    ),
    Setting(
        "OLLAMAMAX_METRICS_GENAI",
        flag,
        "0",
        "1 gives times to tokens under the names of OpenTelemetry's GenAI conventions (schema v0.1.0, not stable) besides.",
    ),
    Setting(
        "OLLAMAMAX_TRACE_URL",
        url("http", "https"),
        "",
        "Where traces of requests are sent by OTLP over HTTP, as `http://127.0.0.1:4318/v1/traces`. Empty: there are none.",
    ),
    Setting(
        "OLLAMAMAX_TRACE_HEADERS",
        http_headers,
        "",
        "Headers that the collector of traces wants, as `authorization=Bearer ...`, separated by commas.",
        secret=True,
    ),
    Setting(
        "OLLAMAMAX_TRACE_SHARE",
        share,
        "0.01",
        "Part of all requests that is traced, 0 to 1, besides those that failed or were slow, which always are.",
    ),
    Setting(
        "OLLAMAMAX_TRACE_TENANTS",
        tenant_shares,
        "",
        "The same of single tenants, as `ID=1,ID=0`, by their ids of 32 hexadecimal digits.",
    ),
    Setting(
        "OLLAMAMAX_TRACE_SLOW_SECONDS",
        integer(1, 86400),
        "10",
        "Seconds until the first output (or the end) from which on a request is traced whatever the share.",
    ),
)
METRICS = tuple(setting.name for setting in SETTINGS if setting.name.startswith("OLLAMAMAX_METRICS_"))
"""What a node reads, too."""

"""The blocks of two real engines as config classes."""

from __future__ import annotations

from typing import Literal

from doze_sdk.engine import Block, Config, Validation, attr, label

Privilege = Literal[
    "ALL",
    "SELECT",
    "INSERT",
    "UPDATE",
    "DELETE",
    "TRUNCATE",
    "REFERENCES",
    "TRIGGER",
    "MAINTAIN",
    "USAGE",
    "CREATE",
    "CONNECT",
    "TEMPORARY",
    "EXECUTE",
]


class Extension(Block, doc="An extension that is created in the default database."):
    name: str = label()
    version: str = attr("", doc="The version to install; the newest if left out.")
    schema: str = attr("", doc="The schema that takes its objects.")
    source: str = attr("", doc="Where its files come from, if not from the server itself.")
    optional: bool = attr(False, doc="Go on without it where it is not available.")
    cascade: bool = attr(False, doc="Create the extensions that it needs, too.")


class Role(Block, doc="A role of the server."):
    name: str = label()
    login: bool | None = attr(True, doc="Whether clients may connect as this role.")
    password: str = attr("", doc="Its password.")
    superuser: bool = attr(False, doc="Whether it bypasses all permission checks.")
    createdb: bool = attr(False, doc="Whether it may create databases.")
    createrole: bool = attr(False, doc="Whether it may create roles.")
    replication: bool = attr(False, doc="Whether it may stream the write-ahead log.")
    inherit: bool | None = attr(True, doc="Whether it has the privileges of the roles that it is a member of.")
    bypassrls: bool = attr(False, doc="Whether row security does not apply to it.")
    connection_limit: int | None = attr(-1, doc="How many connections it may hold.", show="unlimited")
    valid_until: str = attr("", doc="When its password ends to be valid.")
    member_of: list[str] = attr([], doc="Roles that it is a member of.")
    comment: str = attr("", doc="A comment on it.")
    config: dict[str, str] = attr({}, doc="Settings that its sessions start with.")


class Schema(Block, doc="A schema in the default database."):
    name: str = label()
    owner: str = attr("", doc="The role that owns it.")


class Grant(Block, doc="Privileges of a role."):
    role: str = attr(doc="The role that gets them.")
    privileges: list[Privilege] = attr(doc="What it may do.", gate={"MAINTAIN": 17})
    database: str = attr("", doc="The database on which.")
    schema: str = attr("", doc="The schema on which.")
    objects: str = attr("", doc="Which objects of the schema, such as tables.")
    with_grant_option: bool = attr(False, doc="Whether it may pass them on.")

    def validate(self, v: Validation) -> None:
        if bool(self.database) == bool(self.schema):
            v.error("set either database or schema", at="database")


class Postgres(Config, unique=("role.name", "extension.name", "schema.name", "extensions")):
    owner: str = attr("", doc="The role that owns the default database.")
    encoding: str = attr("", doc="Character set of the default database.", show="UTF8")
    locale: str = attr("", doc="Its locale.")
    lc_collate: str = attr("", doc="Its sort order, if not the locale's.")
    lc_ctype: str = attr("", doc="Its character classes, if not the locale's.")
    template: str = attr("", doc="The database that it is a copy of.")
    connection_limit: int | None = attr(-1, doc="How many connections it admits.", show="unlimited")
    is_template: bool | None = attr(None, doc="Whether anybody with CREATEDB may copy it.")
    allow_connections: bool | None = attr(None, doc="Whether anybody may connect to it.")
    tablespace: str = attr("", doc="The tablespace that it lies in.")
    comment: str = attr("", doc="A comment on it.")
    shared_buffers: str = attr("16MB", doc="Memory for the cache of pages.")
    max_connections: int = attr(50, doc="How many clients may be connected at once.")
    fsync: bool | None = attr(False, doc="Whether writes wait for the disk.")
    autovacuum: bool | None = attr(None, doc="Whether dead rows are removed in the background.")
    settings: dict[str, str] = attr(
        {}, doc="Settings of the server, by name.", gate={"io_method": 18, "summarize_wal": 17}
    )
    extensions: list[str] = attr([], doc="Extensions that need no further words, by name.")
    extension: list[Extension] = attr([])
    role: list[Role] = attr([])
    schema: list[Schema] = attr([])
    grant: list[Grant] = attr([])


class Valkey(Config):
    password: str = attr("", doc="The password that clients must give.")
    maxmemory: str = attr("", doc="How much memory it may use before it evicts keys, such as 256mb.")
    maxmemory_policy: str = attr("", doc="Which keys it evicts.", show="noeviction")
    appendonly: bool = attr(False, doc="Whether each write goes to a log on disk.")
    save: str | None = attr("", doc="When it writes snapshots; an empty text means never.")
    settings: dict[str, str] = attr({}, doc="Lines of its own config file, by name.")


# What the blocks of the official modules take: name, Go type, whether it must be set.
ARGUMENTS = {
    "postgres": """
        owner string, encoding string, locale string, lc_collate string, lc_ctype string, template string,
        connection_limit *int, is_template *bool, allow_connections *bool, tablespace string, comment string,
        shared_buffers string, max_connections int, fsync *bool, autovacuum *bool, settings map[string]string,
        extensions []string
    """,
    "postgres.extension": "version string, schema string, source string, optional bool, cascade bool",
    "postgres.role": """
        login *bool, password string, superuser bool, createdb bool, createrole bool, replication bool, inherit *bool,
        bypassrls bool, connection_limit *int, valid_until string, member_of []string, comment string,
        config map[string]string
    """,
    "postgres.schema": "owner string",
    "postgres.grant": """
        role string!, privileges []string!, database string, schema string, objects string, with_grant_option bool
    """,
    "valkey": """
        password string, maxmemory string, maxmemory_policy string, appendonly bool, save *string,
        settings map[string]string
    """,
}


def arguments(block: str) -> dict[str, tuple[str, bool]]:
    """The arguments of a block of the official modules: Go type and whether it must be set, by name."""
    pairs = (entry.split() for entry in ARGUMENTS[block].split(","))
    return {name: (go.rstrip("!"), go.endswith("!")) for name, go in pairs}

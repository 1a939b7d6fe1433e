"""The configuration blocks of eight official modules, as schemas."""

from __future__ import annotations

from doze_sdk.hcl import BOOL, INT, STRING, AttributeSchema, BlockSchema, ListType, MapType, Repeat, Schema, ValueType


def required(name: str, type_: ValueType = STRING) -> AttributeSchema:
    return AttributeSchema(name, type_)


def optional(name: str, type_: ValueType = STRING) -> AttributeSchema:
    return AttributeSchema(name, type_, required=False)


def nullable(name: str, type_: ValueType = STRING) -> AttributeSchema:
    return AttributeSchema(name, type_, required=False, nullable=True)


STRINGS = ListType(STRING)
STRING_MAP = MapType(STRING)

AWS = Schema(
    [],
    [
        BlockSchema(
            "bucket",
            Schema(
                [
                    optional("versioning", BOOL),
                    optional("object_lock", BOOL),
                    optional("tags", STRING_MAP),
                ],
                [
                    BlockSchema(
                        "notify",
                        Schema(
                            [
                                optional("events", STRINGS),
                                optional("prefix"),
                                optional("suffix"),
                                optional("queue"),
                                optional("topic"),
                                optional("lambda"),
                            ]
                        ),
                    ),
                ],
                labels=["name"],
            ),
        ),
        BlockSchema(
            "queue",
            Schema(
                [
                    optional("fifo", BOOL),
                    optional("content_dedup", BOOL),
                    optional("dlq"),
                    optional("max_receives", INT),
                    optional("visibility", INT),
                    optional("delay", INT),
                    optional("retention", INT),
                    optional("receive_wait", INT),
                    optional("max_size", INT),
                    optional("tags", STRING_MAP),
                ],
                labels=["name"],
            ),
        ),
        BlockSchema(
            "topic",
            Schema(
                [
                    optional("tags", STRING_MAP),
                ],
                [
                    BlockSchema(
                        "subscribe",
                        Schema(
                            [
                                optional("queue"),
                                optional("lambda"),
                                optional("http"),
                                optional("filter"),
                                optional("raw", BOOL),
                            ]
                        ),
                    ),
                ],
                labels=["name"],
            ),
        ),
        BlockSchema(
            "table",
            Schema(
                [
                    required("key"),
                    optional("ttl"),
                    nullable("deletion_protection", BOOL),
                    optional("tags", STRING_MAP),
                ],
                [
                    BlockSchema(
                        "gsi",
                        Schema(
                            [
                                required("key"),
                                optional("projection"),
                                optional("include", STRINGS),
                            ],
                            labels=["name"],
                        ),
                    ),
                    BlockSchema(
                        "lsi",
                        Schema(
                            [
                                required("key"),
                                optional("projection"),
                                optional("include", STRINGS),
                            ],
                            labels=["name"],
                        ),
                    ),
                ],
                labels=["name"],
            ),
        ),
        BlockSchema(
            "function",
            Schema(
                [
                    optional("runtime"),
                    optional("handler"),
                    required("code"),
                    optional("env", STRING_MAP),
                    optional("timeout", INT),
                    optional("memory", INT),
                    nullable("retries", INT),
                    optional("tags", STRING_MAP),
                ],
                [
                    BlockSchema(
                        "dlq",
                        Schema(
                            [
                                optional("queue"),
                                optional("topic"),
                                optional("lambda"),
                            ]
                        ),
                        repeat=Repeat.OPTIONAL,
                    ),
                    BlockSchema(
                        "on_success",
                        Schema(
                            [
                                optional("queue"),
                                optional("topic"),
                                optional("lambda"),
                            ]
                        ),
                        repeat=Repeat.OPTIONAL,
                    ),
                    BlockSchema(
                        "on_failure",
                        Schema(
                            [
                                optional("queue"),
                                optional("topic"),
                                optional("lambda"),
                            ]
                        ),
                        repeat=Repeat.OPTIONAL,
                    ),
                    BlockSchema(
                        "trigger",
                        Schema(
                            [
                                required("queue"),
                                optional("batch", INT),
                                nullable("enabled", BOOL),
                            ]
                        ),
                    ),
                ],
                labels=["name"],
            ),
        ),
        BlockSchema(
            "rule",
            Schema(
                [
                    optional("bus"),
                    optional("pattern"),
                    optional("schedule"),
                    nullable("enabled", BOOL),
                    optional("targets", STRINGS),
                ],
                labels=["name"],
            ),
        ),
        BlockSchema(
            "key",
            Schema(
                [
                    optional("spec"),
                    optional("usage"),
                    optional("description"),
                    optional("rotation", BOOL),
                    optional("tags", STRING_MAP),
                ],
                labels=["name"],
            ),
        ),
        BlockSchema(
            "secret",
            Schema(
                [
                    optional("value"),
                    optional("binary"),
                    optional("description"),
                    optional("force", BOOL),
                    optional("tags", STRING_MAP),
                ],
                labels=["name"],
            ),
        ),
        BlockSchema(
            "parameter",
            Schema(
                [
                    required("value"),
                    optional("type"),
                    optional("description"),
                    optional("force", BOOL),
                    optional("tags", STRING_MAP),
                ],
                labels=["name"],
            ),
        ),
    ],
)

FERRET = Schema(
    [
        optional("settings", STRING_MAP),
        optional("auth", BOOL),
    ],
    [
        BlockSchema(
            "database",
            Schema(
                [],
                [
                    BlockSchema(
                        "collection",
                        Schema(
                            [
                                optional("seed"),
                            ],
                            [
                                BlockSchema(
                                    "index",
                                    Schema(
                                        [
                                            optional("name"),
                                            required("keys", MapType(INT)),
                                            optional("unique", BOOL),
                                        ]
                                    ),
                                ),
                            ],
                            labels=["name"],
                        ),
                    ),
                ],
                labels=["name"],
            ),
        ),
        BlockSchema(
            "user",
            Schema(
                [
                    optional("password"),
                    optional("database"),
                    optional("roles", STRINGS),
                ],
                labels=["name"],
            ),
        ),
    ],
)

KAFKA = Schema(
    [
        nullable("auto_create_topics", BOOL),
        optional("default_partitions", INT),
        optional("retention"),
        optional("retention_bytes", INT),
    ],
    [
        BlockSchema(
            "topic",
            Schema(
                [
                    optional("partitions", INT),
                    optional("config", STRING_MAP),
                ],
                labels=["name"],
            ),
        ),
    ],
)

KVROCKS = Schema(
    [
        optional("password"),
        optional("workers", INT),
        optional("settings", STRING_MAP),
    ],
    [
        BlockSchema(
            "namespace",
            Schema(
                [
                    required("token"),
                ],
                labels=["name"],
            ),
        ),
    ],
)

MARIADB = Schema(
    [
        optional("character_set"),
        optional("collation"),
        optional("settings", STRING_MAP),
    ],
    [
        BlockSchema(
            "user",
            Schema(
                [
                    optional("host"),
                    optional("password"),
                ],
                labels=["name"],
            ),
        ),
        BlockSchema(
            "grant",
            Schema(
                [
                    required("user"),
                    optional("host"),
                    required("privileges", STRINGS),
                    optional("database"),
                    optional("table"),
                ]
            ),
        ),
    ],
)

POSTGRES = Schema(
    [
        optional("owner"),
        optional("encoding"),
        optional("locale"),
        optional("lc_collate"),
        optional("lc_ctype"),
        optional("template"),
        nullable("connection_limit", INT),
        nullable("is_template", BOOL),
        nullable("allow_connections", BOOL),
        optional("tablespace"),
        optional("comment"),
        optional("shared_buffers"),
        optional("max_connections", INT),
        nullable("fsync", BOOL),
        nullable("autovacuum", BOOL),
        optional("settings", STRING_MAP),
        optional("extensions", STRINGS),
    ],
    [
        BlockSchema(
            "extension",
            Schema(
                [
                    optional("version"),
                    optional("schema"),
                    optional("source"),
                    optional("optional", BOOL),
                    optional("cascade", BOOL),
                ],
                labels=["name"],
            ),
        ),
        BlockSchema(
            "role",
            Schema(
                [
                    nullable("login", BOOL),
                    optional("password"),
                    optional("superuser", BOOL),
                    optional("createdb", BOOL),
                    optional("createrole", BOOL),
                    optional("replication", BOOL),
                    nullable("inherit", BOOL),
                    optional("bypassrls", BOOL),
                    nullable("connection_limit", INT),
                    optional("valid_until"),
                    optional("member_of", STRINGS),
                    optional("comment"),
                    optional("config", STRING_MAP),
                ],
                labels=["name"],
            ),
        ),
        BlockSchema(
            "schema",
            Schema(
                [
                    optional("owner"),
                ],
                labels=["name"],
            ),
        ),
        BlockSchema(
            "grant",
            Schema(
                [
                    required("role"),
                    required("privileges", STRINGS),
                    optional("database"),
                    optional("schema"),
                    optional("objects"),
                    optional("with_grant_option", BOOL),
                ]
            ),
        ),
    ],
)

TEMPORAL = Schema(
    [
        optional("port", INT),
        optional("ui_port", INT),
        optional("headless", BOOL),
    ],
    [
        BlockSchema(
            "namespace",
            Schema(
                [
                    optional("retention"),
                    optional("description"),
                ],
                labels=["name"],
            ),
        ),
        BlockSchema(
            "restart",
            Schema(
                [
                    optional("policy"),
                    optional("backoff"),
                    optional("max_retries", INT),
                ]
            ),
            repeat=Repeat.OPTIONAL,
        ),
    ],
)

VALKEY = Schema(
    [
        optional("password"),
        optional("maxmemory"),
        optional("maxmemory_policy"),
        optional("appendonly", BOOL),
        nullable("save"),
        optional("settings", STRING_MAP),
    ]
)

MODULES = {
    "aws": AWS,
    "ferret": FERRET,
    "kafka": KAFKA,
    "kvrocks": KVROCKS,
    "mariadb": MARIADB,
    "postgres": POSTGRES,
    "temporal": TEMPORAL,
    "valkey": VALKEY,
}

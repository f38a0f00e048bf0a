//! Which room of `src/` may know which.

/// Rooms of `src/` and the other rooms each may name. `app`, `main` and `cli` put rooms together and may name all.
/// A room that is not listed here has to be added, with as few neighbours as it can live with.
pub const ROOMS: &[(&str, &[&str])] = &[
    ("actions", &["directory", "outbound", "redact"]),
    ("administration", &["agents", "carriers", "config", "store", "tokens"]),
    ("agents", &["redact"]),
    ("carriers", &[]),
    ("config", &["redact"]),
    ("dashboard", &["config"]),
    ("directory", &["agents", "carriers", "config", "store"]),
    ("engines", &["outbound"]),
    ("greetings", &[]),
    (
        "http",
        &[
            "administration",
            "agents",
            "carriers",
            "config",
            "dashboard",
            "directory",
            "limits",
            "redact",
            "store",
            "telemetry",
            "tokens",
            "watch",
        ],
    ),
    ("limits", &["config"]),
    ("outbound", &[]),
    ("phrases", &[]),
    ("record", &[]),
    ("redact", &[]),
    ("sim", &[]),
    ("store", &["redact"]),
    ("telemetry", &["config", "redact"]),
    ("tokens", &[]),
    ("watch", &[]),
];

//! What every metric means, for `/metrics`. A test compares this list with what the code emits (`tests/tidy.rs`).

use metrics::Unit;

/// Things that happened, since the start.
const COUNTERS: [(&str, Unit, &str); 76] = [
    ("caly_http_bodies_unread_total", Unit::Count, "Connections cut because a body was not read to its end"),
    (
        "caly_actions_not_confirmed_total",
        Unit::Count,
        "Actions the engine asked for before the caller had clearly said yes to them",
    ),
    (
        "caly_actions_not_on_record_total",
        Unit::Count,
        "Actions not begun because they could not be put on record in time",
    ),
    (
        "caly_actions_reconciled_total",
        Unit::Count,
        "Actions a former process left half done and that were asked about, by outcome",
    ),
    (
        "caly_breaker_opened_total",
        Unit::Count,
        "Times a client's vendor that did not answer was left alone for a while, by vendor: shop, http or mcp",
    ),
    (
        "caly_breaker_refused_total",
        Unit::Count,
        "Requests not sent because who was to be asked does not answer at the moment, by vendor",
    ),
    ("caly_api_streams_cut_total", Unit::Count, "Followers of events cut because they did not read"),
    ("caly_calls_interrupted_total", Unit::Count, "Calls a former process left open, closed at the start"),
    (
        "caly_calls_steered_total",
        Unit::Count,
        "Times a call itself did what the caller asked of it, or what its agent's policies say, by what and what was done",
    ),
    ("caly_calls_taken_up_total", Unit::Count, "Interrupted calls that the carrier brought back and that went on"),
    (
        "caly_carrier_asked_total",
        Unit::Count,
        "Questions to the carrier about calls whose end it had not told, by what was found",
    ),
    ("caly_lookups_skipped_total", Unit::Count, "Webhooks answered without a look-up because the database was late"),
    ("caly_reloads_total", Unit::Count, "Times the configuration was read anew"),
    ("caly_suspensions_total", Unit::Count, "Times the whole process had been stopped for a while"),
    ("caly_threads_blocked_total", Unit::Count, "Times a thread that calls live on did not get on for a second"),
    ("caly_action_attempts_total", Unit::Count, "Attempts at actions, by action and outcome"),
    (
        "caly_actions_refused_total",
        Unit::Count,
        "Tool calls refused because a call asked for too many, at all or in a row",
    ),
    (
        "caly_agent_audio_discarded_total",
        Unit::Count,
        "Times agent audio not yet heard was thrown away by an interruption",
    ),
    (
        "caly_agent_audio_dropped_bytes_total",
        Unit::Bytes,
        "Agent audio dropped because more was made than can be played",
    ),
    ("caly_api_wrong_keys_total", Unit::Count, "Requests to the admin API with a wrong key"),
    ("caly_caller_audio_dropped_total", Unit::Count, "Caller frames dropped because the engine did not keep up"),
    ("caly_callers_looked_up_total", Unit::Count, "Calls in whose beginning it was asked who rings, by outcome"),
    ("caly_calls_admitted_total", Unit::Count, "Calls admitted"),
    ("caly_calls_ended_total", Unit::Count, "Calls ended, by reason; each limit and deadline of a call has one"),
    ("caly_calls_refused_total", Unit::Count, "Calls refused at admission, by reason"),
    ("caly_child_restarts_total", Unit::Count, "Children of calls started again after a panic, by kind"),
    ("caly_children_given_up_total", Unit::Count, "Children that failed too often, by kind"),
    (
        "caly_customers_expired_total",
        Unit::Count,
        "What was known of callers and forgotten because its time was over, by what it was",
    ),
    (
        "caly_context_shortened_total",
        Unit::Count,
        "Times older turns made way in an engine session, by whether a summary took their place",
    ),
    ("caly_echoes_total", Unit::Count, "Times an agent spoke on because what was heard was its own echo"),
    ("caly_engine_agent_audio_dropped_total", Unit::Count, "Agent audio dropped because the call did not take it"),
    ("caly_engine_audio_bytes_total", Unit::Bytes, "Audio exchanged with engines, by direction"),
    ("caly_engine_bytes_total", Unit::Bytes, "Bytes exchanged with engines, by direction"),
    ("caly_engine_commands_dropped_total", Unit::Count, "Commands to an engine dropped because its queue was full"),
    ("caly_engine_hints_refused_total", Unit::Count, "Engines that refused what the recogniser was told to expect"),
    ("caly_engine_ignored_total", Unit::Count, "Engine events that could not be used, by kind"),
    ("caly_engine_sessions_ended_total", Unit::Count, "Engine sessions ended, by reason"),
    ("caly_engine_sessions_total", Unit::Count, "Engine sessions asked for, by result"),
    (
        "caly_http_connections_cut_total",
        Unit::Count,
        "Connections cut because no whole request came in time, by reason",
    ),
    ("caly_greetings_total", Unit::Count, "Greetings and stored phrases asked of the engine to be kept, by outcome"),
    ("caly_http_panics_total", Unit::Count, "Requests whose handler panicked"),
    ("caly_http_requests_total", Unit::Count, "Requests, by route and class of status"),
    (
        "caly_history_dropped_total",
        Unit::Count,
        "Utterances a call forgot, for its next engine session, before they were in a summary",
    ),
    ("caly_keys_dropped_total", Unit::Count, "Keys a caller pressed beyond what is kept until they are told"),
    ("caly_lane_items_dropped_total", Unit::Count, "Items dropped because a lane of a call was full, the oldest first"),
    ("caly_log_lines_dropped_total", Unit::Count, "Log lines dropped because standard error did not keep up"),
    ("caly_mcp_lists_total", Unit::Count, "Lists of tools asked of clients' MCP servers, by outcome"),
    ("caly_mcp_requests_total", Unit::Count, "Requests to clients' MCP servers, by method and outcome"),
    ("caly_mcp_sessions_lost_total", Unit::Count, "Sessions that an MCP server did not know any more"),
    ("caly_media_closes_total", Unit::Count, "Media sockets closed by Caly, by close code"),
    ("caly_media_frames_total", Unit::Count, "Frames exchanged with carriers, by direction"),
    ("caly_media_oddities_total", Unit::Count, "Media messages that broke the protocol, by kind"),
    ("caly_media_refused_total", Unit::Count, "Media sockets refused, by reason"),
    ("caly_media_sockets_cut_total", Unit::Count, "Media sockets cut because their peer did not close in time"),
    ("caly_panics_total", Unit::Count, "Panics caught by supervision or ending a request"),
    ("caly_templates_failed_total", Unit::Count, "Templates of agents that failed in a call and were used as written"),
    ("caly_rate_limited_total", Unit::Count, "Requests and calls refused by a rate limit, by limiter"),
    ("caly_recorder_contexts_dropped_total", Unit::Count, "Calls whose questions the journal forgot for lack of room"),
    ("caly_recorder_dropped_total", Unit::Count, "Journal entries given up for lack of room, by kind"),
    ("caly_recorder_rejected_total", Unit::Count, "Journal entries that the database refused for good, by kind"),
    ("caly_recorder_restarts_total", Unit::Count, "Times the journal's writer panicked"),
    ("caly_recorder_spool_failures_total", Unit::Count, "Times the disk did not take the journal"),
    ("caly_recorder_spooled_total", Unit::Count, "Journal entries put on disk while the database was away"),
    ("caly_recorder_torn_total", Unit::Count, "Lines of the journal on disk that could not be read back"),
    ("caly_recorder_written_total", Unit::Count, "Journal entries committed"),
    (
        "caly_recording_samples_dropped_total",
        Unit::Count,
        "Samples left out of recordings because the disk did not keep up",
    ),
    ("caly_recordings_failed_total", Unit::Count, "Times a recording could not be opened or written, by reason"),
    ("caly_shop_cache_hits_total", Unit::Count, "Questions to shops answered from memory"),
    ("caly_shop_proofs_refused_total", Unit::Count, "Orders asked for with further details after too many wrong ones"),
    ("caly_shop_requests_total", Unit::Count, "Questions and changes sent to shops, by operation and outcome"),
    ("caly_shop_throttled_total", Unit::Count, "Times a shop said that it is asked too much"),
    ("caly_shop_webhooks_total", Unit::Count, "Webhooks of shops with the right signature, by outcome"),
    ("caly_store_deadlines_total", Unit::Count, "Queries given up because the database did not answer in time"),
    ("caly_summaries_total", Unit::Count, "Summaries asked of engines, by what came of them"),
    ("caly_utterances_dropped_total", Unit::Count, "Utterances under way dropped because an engine had too many"),
    ("caly_webhooks_rejected_total", Unit::Count, "Webhooks refused for their credentials or address"),
];

/// How things stand.
const GAUGES: [(&str, Unit, &str); 19] = [
    ("caly_api_streams", Unit::Count, "Followers of events"),
    ("caly_thread_lag_seconds", Unit::Seconds, "How late a thread that calls live on is, by thread"),
    ("caly_actors", Unit::Count, "Live actors, by kind"),
    (
        "caly_allocator_allocated_bytes",
        Unit::Bytes,
        "Bytes the program holds from the allocator, exact; judge leaks by it",
    ),
    ("caly_allocator_resident_bytes", Unit::Bytes, "Bytes the allocator holds from the system"),
    ("caly_calls_live", Unit::Count, "Calls that are up"),
    ("caly_calls_remembered", Unit::Count, "Calls in the registry, with those just ended"),
    (
        "caly_engine_hangs",
        Unit::Count,
        "Whether the first engine hangs: sessions asked of it are neither opened nor refused",
    ),
    (
        "caly_engine_refuses",
        Unit::Count,
        "Whether an engine refuses for good, by engine and kind: refused (key, model or account), quota (no credit)",
    ),
    ("caly_http_connections", Unit::Count, "Open connections, media sockets included"),
    ("caly_mcp_servers", Unit::Count, "MCP servers that agents in use name, by whether their list of tools is known"),
    ("caly_media_sockets", Unit::Count, "Open media sockets"),
    ("caly_process_open_fds", Unit::Count, "Open file descriptors"),
    ("caly_process_resident_bytes", Unit::Bytes, "Resident memory of the process"),
    ("caly_process_threads", Unit::Count, "Threads"),
    ("caly_recorder_contexts", Unit::Count, "Calls whose questions the journal remembers"),
    ("caly_recorder_queued", Unit::Count, "Journal entries in memory"),
    ("caly_recorder_spooled_bytes", Unit::Bytes, "Journal on disk that is not in the database yet"),
    ("caly_timers", Unit::Count, "Timers of calls that are set"),
];

/// How long things took, and how deep queues were.
const HISTOGRAMS: [(&str, Unit, &str); 11] = [
    ("caly_action_seconds", Unit::Seconds, "Time an action took, by action"),
    ("caly_call_duration_seconds", Unit::Seconds, "Admission to end of a call"),
    ("caly_engine_connect_seconds", Unit::Seconds, "Time to open an engine session"),
    ("caly_engine_context_tokens", Unit::Count, "Tokens that engine sessions held, as told with each answer"),
    ("caly_http_seconds", Unit::Seconds, "Time to answer a request, by route"),
    ("caly_queue_depth", Unit::Count, "Depth of a call's queues as seen while it runs, by queue"),
    ("caly_recorder_batch_seconds", Unit::Seconds, "Time to commit a batch of the journal"),
    ("caly_shop_seconds", Unit::Seconds, "Time until a shop had answered, with waits and repeats, by operation"),
    (
        "caly_turn_latency_seconds",
        Unit::Seconds,
        "End of the caller's speech on the line to the first frame of the answer sent to the carrier",
    ),
    (
        "caly_turn_step_seconds",
        Unit::Seconds,
        "From the caller's last word to the first frame of the answer heard, by step, each from the one before; total: all",
    ),
    ("caly_understand_seconds", Unit::Seconds, "Time to understand a turn"),
];

/// Tells the recorder of this process.
pub fn describe_metrics() {
    for (name, unit, help) in COUNTERS {
        metrics::describe_counter!(name, unit, help);
    }
    for (name, unit, help) in GAUGES {
        metrics::describe_gauge!(name, unit, help);
    }
    for (name, unit, help) in HISTOGRAMS {
        metrics::describe_histogram!(name, unit, help);
    }
}

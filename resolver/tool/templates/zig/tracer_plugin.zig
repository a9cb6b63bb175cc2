//! tracer_plugin.h in Zig, as far as a plugin needs it. Ownership, threads and states are said in the header.

pub const Code = i32;
pub const ok: Code = 0;
pub const err_config: Code = 1;
pub const err_retryable: Code = 2;
pub const err_permanent: Code = 3;
pub const err_partial: Code = 4;
pub const err_timeout: Code = 5;
pub const err_shutdown: Code = 6;
pub const err_panic: Code = 7;
pub const err_unsupported: Code = 8;
pub const err_internal: Code = 9;
pub const err_credentials: Code = 10;

pub const signal_traces = 1;
pub const signal_metrics = 2;
pub const encoding_otlp_protobuf = 1;
pub const cap_concurrent_export: u64 = 1 << 0;
pub const cap_network: u64 = 1 << 1;
pub const cap_not_in_forked_children: u64 = 1 << 2;

pub const log_error: u32 = 1;
pub const log_warn: u32 = 2;
pub const log_info: u32 = 3;
pub const log_debug: u32 = 4;
pub const log_trace: u32 = 5;

pub const Str = extern struct { ptr: ?[*]const u8, len: usize };
pub const Bytes = extern struct { ptr: ?[*]const u8, len: usize };

pub const Error = extern struct {
    struct_size: u32,
    code: Code,
    retry_after_ms: u32,
    rejected_items: u32,
    retry_cookie: u64,
    field: [128]u8,
    message: [384]u8,
};

pub const Batch = extern struct {
    struct_size: u32,
    signal: u32,
    encoding: u32,
    item_count: u32,
    body: Bytes,
    batch_id: u64,
    attempt: u32,
    flags: u32,
    retry_cookie: u64,
    oldest_start_unix_ns: u64,
    first_attempt_unix_ns: u64,
    service_names: ?[*]const Str,
    service_count: u32,
    resource_count: u32,
};

pub const batch_last_try: u32 = 1 << 0;
pub const batch_shutting_down: u32 = 1 << 1;

pub const ValidateArgs = extern struct { struct_size: u32, timeout_ms: u32, config_json: Str };
pub const Call = extern struct { struct_size: u32, timeout_ms: u32 };

pub const Stats = extern struct {
    struct_size: u32,
    in_flight: u32,
    items_sent: u64,
    items_rejected: u64,
    batches_sent: u64,
    batches_failed: u64,
    bytes_sent: u64,
    reconnects: u64,
};

pub const Host = extern struct {
    struct_size: u32,
    abi_major: u16,
    abi_minor: u16,
    name: Str,
    version: Str,
    ctx: ?*anyopaque,
    log: ?*const fn (?*anyopaque, u32, Str, Str) callconv(.c) void,
    get_extension: ?*const fn (?*anyopaque, Str) callconv(.c) ?*const anyopaque,
    is_logged: ?*const fn (?*anyopaque, u32) callconv(.c) i32,
    is_export_thread: ?*const fn (?*anyopaque) callconv(.c) i32,
};

pub const CreateArgs = extern struct {
    struct_size: u32,
    max_concurrency: u32,
    host: *const Host,
    backend_name: Str,
    config_json: Str,
    timeout_ms: u32,
    reserved: u32,
};

/// What `get_extension` may answer to this id.
pub const ext_after_fork = "tracer_plugin.after-fork/1";
pub const AfterFork = extern struct {
    struct_size: u32 = @sizeOf(@This()),
    reserved: u32 = 0,
    after_fork: ?*const fn () callconv(.c) void,
};

/// The table of a plugin whose instances are of this type.
pub fn Plugin(comptime Instance: type) type {
    return extern struct {
        struct_size: u32 = @sizeOf(@This()),
        abi_major: u16 = 1,
        abi_minor: u16 = 0,
        capabilities: u64 = 0,
        accepted_signals: u32,
        accepted_encodings: u32 = 1 << encoding_otlp_protobuf,
        type_name: Str,
        version: Str,
        build_info: Str,
        config_schema: Str,
        validate: *const fn (*const ValidateArgs, ?*Error) callconv(.c) Code,
        create: *const fn (*const CreateArgs, **Instance, ?*Error) callconv(.c) Code,
        export_batch: *const fn (*Instance, *const Batch, u32, ?*Error) callconv(.c) Code,
        flush: *const fn (*Instance, *const Call, ?*Error) callconv(.c) Code,
        shutdown: *const fn (*Instance, *const Call, ?*Error) callconv(.c) Code,
        destroy: *const fn (*Instance) callconv(.c) void,
        stats: *const fn (*const Instance, *Stats) callconv(.c) Code,
        get_extension: *const fn (Str) callconv(.c) ?*const anyopaque,
        reconfigure: ?*const anyopaque = null, // Reserved.
    };
}

pub fn text(comptime literal: []const u8) Str {
    return .{ .ptr = literal.ptr, .len = literal.len };
}

/// TRACER_HAS: whether a struct of this size has the field.
pub fn has(comptime Struct: type, struct_size: u32, comptime field: []const u8) bool {
    return struct_size >= @offsetOf(Struct, field) + @sizeOf(@FieldType(Struct, field));
}

/// Fills in `told`, which may be null, and returns the code.
pub fn fail(told: ?*Error, code: Code, comptime message: []const u8) Code {
    const it = told orelse return code;
    if (has(Error, it.struct_size, "code")) it.code = code;
    if (has(Error, it.struct_size, "message")) {
        @memcpy(it.message[0..message.len], message);
        it.message[message.len] = 0;
    }
    return code;
}

comptime {
    // The layout is frozen: these are the header's figures.
    const sizes = .{ .{ Error, 536 }, .{ Batch, 88 }, .{ Stats, 56 }, .{ Host, 80 }, .{ CreateArgs, 56 }, .{ AfterFork, 16 } };
    for (sizes) |size| if (@sizeOf(size[0]) != size[1]) @compileError("another layout than the header's");
}

//! The backend plugin `@NAME@`: it counts what it is given, and says so in the application's log. Put what ships a batch
//! into `ship`. What each function may do, and on which thread it runs, stands in tracer_plugin.h; what of it is needed here
//! stands in tracer_plugin.zig.
const std = @import("std");
const abi = @import("tracer_plugin.zig");

const Instance = struct {
    host: *const abi.Host, // Valid until destroy returns.
    items: u64 = 0, // These two are read by stats, on any thread.
    batches: u64 = 0,
};

/// Ships one batch within `timeout_ms`. `abi.err_retryable` is tried again by the host, `abi.err_permanent` is not.
fn ship(me: *Instance, batch: *const abi.Batch, timeout_ms: u32) abi.Code {
    _ = timeout_ms;
    var buffer: [80]u8 = undefined;
    const line = std.fmt.bufPrint(&buffer, "{d} items in {d} bytes", .{ batch.item_count, batch.body.len }) catch return abi.ok;
    if (me.host.log) |log| log(me.host.ctx, abi.log_debug, abi.text("@NAME@"), .{ .ptr = line.ptr, .len = line.len });
    return abi.ok;
}

fn validate(args: *const abi.ValidateArgs, told: ?*abi.Error) callconv(.c) abi.Code {
    // The host has checked the schema of args.config_json; say here what a schema cannot.
    _ = args;
    _ = told;
    return abi.ok;
}

fn create(args: *const abi.CreateArgs, out: **Instance, told: ?*abi.Error) callconv(.c) abi.Code {
    const memory = malloc(@sizeOf(Instance)) orelse return abi.fail(told, abi.err_internal, "out of memory");
    const me: *Instance = @ptrCast(@alignCast(memory));
    me.* = .{ .host = args.host };
    out.* = me;
    return abi.ok;
}

fn exportBatch(me: *Instance, batch: *const abi.Batch, timeout_ms: u32, told: ?*abi.Error) callconv(.c) abi.Code {
    if (batch.signal != abi.signal_traces or batch.encoding != abi.encoding_otlp_protobuf) {
        return abi.fail(told, abi.err_unsupported, "only traces in OTLP protobuf are supported");
    }
    const code = ship(me, batch, timeout_ms);
    if (code == abi.ok) {
        _ = @atomicRmw(u64, &me.items, .Add, batch.item_count, .monotonic);
        _ = @atomicRmw(u64, &me.batches, .Add, 1, .monotonic);
    }
    return code;
}

fn flush(me: *Instance, call: *const abi.Call, told: ?*abi.Error) callconv(.c) abi.Code {
    _ = me; // Nothing is held back.
    _ = call;
    _ = told;
    return abi.ok;
}

fn shutdown(me: *Instance, call: *const abi.Call, told: ?*abi.Error) callconv(.c) abi.Code {
    _ = me; // Threads, if there are any, are joined here.
    _ = call;
    _ = told;
    return abi.ok;
}

fn destroy(me: *Instance) callconv(.c) void {
    free(me);
}

fn stats(me: *const Instance, out: *abi.Stats) callconv(.c) abi.Code {
    if (abi.has(abi.Stats, out.struct_size, "items_sent")) out.items_sent = @atomicLoad(u64, &me.items, .monotonic);
    if (abi.has(abi.Stats, out.struct_size, "batches_sent")) out.batches_sent = @atomicLoad(u64, &me.batches, .monotonic);
    return abi.ok;
}

fn getExtension(id: abi.Str) callconv(.c) ?*const anyopaque {
    _ = id;
    return null;
}

const plugin = abi.Plugin(Instance){
    .accepted_signals = 1 << abi.signal_traces,
    .type_name = abi.text("@NAME@"),
    .version = abi.text("0.1.0"),
    .build_info = abi.text("Zig"),
    .config_schema = abi.text("{\"type\": \"object\", \"additionalProperties\": false}"),
    .validate = validate,
    .create = create,
    .export_batch = exportBatch,
    .flush = flush,
    .shutdown = shutdown,
    .destroy = destroy,
    .stats = stats,
    .get_extension = getExtension,
};

export fn tracer_plugin_v1(host_minor: u32) *const abi.Plugin(Instance) {
    _ = host_minor;
    return &plugin;
}

// The system's allocator, as the contract wants it.
extern fn malloc(size: usize) ?*anyopaque;
extern fn free(memory: ?*anyopaque) void;

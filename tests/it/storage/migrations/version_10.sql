-- Rows as schema version 10 stored them (commit fef7754).
-- The test replaces the placeholders `@id`, `@at` and `@bytes` by literals of the database, and `@uuid` and `@time` by texts
-- inside JSON: see `expand` in migrations.rs.

insert into printers (id, name, url, api_key, enabled, model, material, color, nozzle_mm, bed_mm, power_group, notes,
    version, created_at, updated_at) values
    (@id(01), 'MK4-01', 'http://mk4-01.test', @bytes(01736561), true, 'MK4', 'PETG', '#1a2b3c', 0.4,
        '[250.0, 210.5, 220.0]', 'rack 1', 'by the door', 3, @at(0), @at(5)),
    (@id(02), 'XL-02', 'http://xl-02.test', null, false, null, null, null, null, null, null, '', 1, @at(1), @at(1));
insert into printer_tags (printer_id, tag) values (@id(01), 'petg'), (@id(01), 'hall-a');

insert into sightings (printer_id, state, mark, observed_at, octoprint_version, reachability) values
    (@id(01), 'printing',
        '{"file": {"path": "parts/a.gcode", "origin": "local"}, "completion": 41.5, "file_position": 123456, "print_time_s": 38}',
        @at(50), '1.10.3', 'online'),
    (@id(02), 'operational', '{"file": null, "completion": null, "file_position": null, "print_time_s": null}', @at(51),
        null, null);
insert into plates (printer_id, state, print_id, since, cleared_by) values
    (@id(01), 'occupied', @id(21), @at(12), null),
    (@id(02), 'clear', @id(22), @at(45), 'Anna');

-- Printer 03 was removed. Print 22 is in `print_days`, print 23 not yet.
insert into prints (id, printer_id, file_path, file_origin, started_at, ended_at, result, reason, started_by_kind,
    started_by_command, paused_by_kind, paused_by_command, counted) values
    (@id(21), @id(01), 'parts/a.gcode', 'local', @at(12), null, null, null, 'command', @id(31), 'command', @id(35), false),
    (@id(22), @id(02), 'parts/b.gcode', 'sdcard', @at(0), @at(40), 'done', null, 'printer', null, null, null, true),
    (@id(23), @id(03), null, null, @at(1), @at(31), 'failed', 'Heating failed', 'unknown', null, null, null, false);
insert into print_days (day, printer_id, printed_s, done, failed, cancelled, unknown) values (20717, @id(02), 40, 1, 0, 0,
    0);

insert into batches (id, command, external_ref, due_at, spec, state, created_at, finished_at, created_by, retry_of) values
    (@id(11), 'start', 'MO/4711', @at(10),
        '{"command": "start", "file": {"path": "parts/a.gcode", "origin": "local"}, "expected_job": null, "plate": "assume_clear", "max_in_flight": 2, "interval_ms": 500, "max_heating": 1, "not_before": null, "expires_in_s": 60, "window_s": 14400, "confirm_within_s": 60, "when_unreachable": "fail", "on_failure": "stop", "force": false, "named": true, "states": [], "token_id": null, "user_id": "@uuid(51)", "reason": "first layer checked", "external_ref": "MO/4711"}',
        'finished', @at(10), @at(30), 'Anna', null),
    (@id(12), 'toggle', null, @at(40),
        '{"command": "toggle", "file": null, "expected_job": null, "plate": "check", "max_in_flight": 0, "interval_ms": 0, "max_heating": 0, "not_before": null, "expires_in_s": 60, "window_s": 14400, "confirm_within_s": 60, "when_unreachable": "fail", "on_failure": "continue", "force": false, "named": false, "states": ["printing", "paused"], "token_id": "@uuid(42)", "reason": null, "external_ref": null}',
        'running', @at(40), null, 'erp', null),
    (@id(13), 'cancel', null, @at(3600),
        '{"command": "cancel", "file": null, "expected_job": null, "plate": "check", "max_in_flight": 0, "interval_ms": 0, "max_heating": 0, "not_before": "@time(3600)", "expires_in_s": 60, "window_s": 14400, "confirm_within_s": 60, "when_unreachable": "wait", "on_failure": "continue", "force": false, "named": true, "states": [], "token_id": null, "user_id": "@uuid(51)", "reason": null, "external_ref": null}',
        'scheduled', @at(41), null, 'Anna', @id(11));

insert into commands (id, batch_id, position, printer_id, printer_name, command, resolved_command, expected_job, outcome,
    reason, detail, step, print_id, file_path, state_before, state_after, attempts, released_at, expires_at, sent_at,
    accepted_at, finished_at, settled_effect, settled_state, settled_at) values
    (@id(31), @id(11), 0, @id(01), 'MK4-01', 'start', null, null, 'confirmed', null, null, 'start', @id(21),
        'parts/a.gcode', 'operational', 'printing', 1, @at(10), @at(70), @at(11), @at(12), @at(13), null, null, null),
    (@id(32), @id(11), 1, @id(02), 'XL-02', 'start', null, null, 'rejected', 'plate_not_clear',
        'The last print may still lie on the plate: clear the plate, then say so.', null, null, null, null, null, 0, null,
        null, null, null, @at(13), null, null, null),
    (@id(33), @id(11), 2, @id(03), 'Old-03', 'start', null, null, 'unknown', 'no_answer',
        'No answer came within 10 s. The printer was read again and showed "Offline (Error: 42)".', 'start', null,
        'parts/a.gcode', 'operational', 'offline', 1, @at(10), @at(70), @at(12), null, @at(29), 'none', 'operational',
        @at(300)),
    (@id(34), @id(11), 3, @id(04), 'Old-04', 'start', null, null, 'unconfirmed', 'no_effect',
        'OctoPrint accepted the command, but its effect was not seen in time.', 'start', null, 'parts/a.gcode',
        'operational', 'operational', 1, @at(10), @at(70), @at(12), @at(13), @at(30), null, null, null),
    (@id(35), @id(12), 0, @id(01), 'MK4-01', 'toggle', 'pause', '{"path": "parts/a.gcode"}', 'accepted', null, null,
        'pause', @id(21), null, 'printing', null, 2, @at(40), @at(100), @at(41), @at(42), null, null, null, null),
    (@id(36), @id(12), 1, @id(02), 'XL-02', 'toggle', null, '{"print_id": "@uuid(22)"}', 'queued', null, null, null, null,
        null, null, null, 0, null, null, null, null, null, null, null, null),
    (@id(37), @id(12), 2, @id(03), 'Old-03', 'toggle', null, null, 'sent', null, null, 'resume', null, null, 'paused',
        null, 1, @at(40), @at(100), @at(41), null, null, null, null, null),
    (@id(38), @id(12), 3, @id(04), 'Old-04', 'toggle', null, null, 'skipped', 'overtaken_by_cancel',
        'A cancel for this printer came first.', null, null, null, null, null, 0, @at(40), @at(100), null, null, @at(43),
        null, null, null),
    (@id(39), @id(12), 4, @id(05), 'Old-05', 'toggle', null, null, 'expired', 'window_over', null, null, null, null, null,
        null, 0, null, null, null, null, @at(44), null, null, null),
    (@id(3a), @id(13), 0, @id(01), 'MK4-01', 'cancel', null, null, 'queued', null, null, null, null, null, null, null, 0,
        null, null, null, null, null, null, null, null);

insert into tokens (id, name, hash, role, tags, created_at, expires_at, last_used_at, revoked_at, rotated_from, line,
    requires_key) values
    (@id(41), 'erp', @bytes(41), 'operator', '["hall-a"]', @at(0), @at(86400), @at(9), null, null, @id(41), true),
    (@id(42), 'erp', @bytes(42), 'operator', '["hall-a"]', @at(8), null, null, null, @id(41), @id(41), true),
    -- Older than the column `line`.
    (@id(43), 'wall', @bytes(43), 'viewer', '[]', @at(0), null, null, null, null, null, false),
    (@id(44), 'lost', @bytes(44), 'admin', '[]', @at(0), null, null, @at(3), null, @id(44), false);
insert into users (id, name, name_key, password_hash, role, tags, enabled, version, created_at, updated_at,
    last_login_at) values
    (@id(51), 'Anna', 'anna', '$argon2id$v=19$m=19456,t=2,p=1$c2FsdA$aGFzaA', 'admin', '[]', true, 2, @at(0), @at(4),
        @at(6)),
    (@id(52), 'ben@sso.test', 'ben@sso.test', null, 'viewer', '["hall-a", "petg"]', false, 1, @at(2), @at(2), null);
insert into identities (issuer, subject, user_id) values ('https://id.test/realms/farm', 'sub-52', @id(52));
insert into sessions (id, hash, user_id, token_id, admin_hash, created_at, last_seen_at, expires_at, address, agent) values
    (@id(61), @bytes(61), @id(51), null, null, @at(6), @at(60), @at(43200), '10.0.0.9', 'Firefox'),
    (@id(62), @bytes(62), null, @id(42), null, @at(7), @at(7), @at(43200), null, 'Chrome'),
    (@id(63), @bytes(63), null, null, @bytes(ad), @at(8), @at(8), @at(43200), '10.0.0.7', '');
insert into setup_links (hash, expires_at) values (@bytes(6c), @at(3600));

insert into audit (seq, at, actor, action, record, hash) values
    (1, @at(0), 'terminal', 'printer.registered',
        '{"seq":1,"at":"@time(0)","actor":{"kind":"terminal","id":null,"name":"terminal"},"action":"printer.registered","printer_ids":["@uuid(01)"],"subject":null,"request_id":null,"address":null,"changes":{"name":"MK4-01","url":"http://mk4-01.test"}}',
        'af9d118d203da0ae19be81f26c2c27bb7d77888c4524bbfb42330ac4f78fd360'),
    (2, @at(10), 'Anna', 'batch.created',
        '{"seq":2,"at":"@time(10)","actor":{"kind":"user","id":"@uuid(51)","name":"Anna"},"action":"batch.created","printer_ids":["@uuid(01)","@uuid(02)","@uuid(03)","@uuid(04)"],"subject":"@uuid(11)","request_id":"r-1","address":"10.0.0.9","changes":{"command":"start","max_in_flight":2,"reason":"first layer checked"}}',
        '6070b523b816443a1c1ee363420af365bc320d31534136f11b72018a437d28d8'),
    (3, @at(30), 'scheduler', 'batch.finished',
        '{"seq":3,"at":"@time(30)","actor":{"kind":"scheduler","id":null,"name":"scheduler"},"action":"batch.finished","printer_ids":["@uuid(02)","@uuid(03)","@uuid(04)"],"subject":"@uuid(11)","request_id":null,"address":null,"changes":{"counts":{"confirmed":1,"rejected":1,"unconfirmed":1,"unknown":1},"result":"uncertain","state":"finished"}}',
        'b9e119fe6461592e1dd70c27cf70a31bb251f1907518e6d79ffec208464f3945');
update audit_head set seq = 3, hash = 'b9e119fe6461592e1dd70c27cf70a31bb251f1907518e6d79ffec208464f3945';
-- Row 3 is not indexed yet.
insert into audit_printers (printer_id, seq) values (@id(01), 1), (@id(01), 2), (@id(02), 2), (@id(03), 2), (@id(04), 2);
update audit_indexed set seq = 2;

insert into events (seq, id, type, at, actor, printer_id, printer_name, subject, external_ref, data) values
    (1, @id(81), 'printer.registered', @at(0), '{"kind": "terminal", "id": null, "name": "terminal"}', @id(01), 'MK4-01',
        null, null, '{"name": "MK4-01"}'),
    (2, @id(82), 'batch.created', @at(10), '{"kind": "user", "id": "@uuid(51)", "name": "Anna"}', null, null, @id(11),
        'MO/4711', '{"command": "start", "total": 4}'),
    (3, @id(83), 'print.started', @at(12), null, @id(01), 'MK4-01', @id(21), null,
        '{"file": {"path": "parts/a.gcode", "origin": "local"}, "print_id": "@uuid(21)", "by": {"kind": "command", "command_id": "@uuid(31)"}}'),
    (4, @id(84), 'command.finished', @at(13), null, @id(02), null, @id(32), 'MO/4711', null),
    (5, @id(85), 'batch.finished', @at(30), '{"kind": "scheduler", "id": null, "name": "scheduler"}', null, null, @id(11),
        'MO/4711',
        '{"state": "finished", "result": "uncertain", "counts": {"confirmed": 1, "rejected": 1, "unconfirmed": 1, "unknown": 1}}'),
    (6, @id(86), 'command.settled', @at(300), null, @id(03), null, @id(33), 'MO/4711', null);
update events_head set seq = 6, event_id = @id(86);

insert into webhooks (id, url, description, types, enabled, ordered, tags, created_by, position, disabled_reason,
    failing_since, last_success_at, last_error, version, created_at, updated_at) values
    (@id(71), 'https://erp.test/hook', 'orders', '["batch.created", "batch.finished"]', false, true, '["hall-a"]', 'Anna',
        6, 'failing', @at(31), @at(11), 'The receiver answered 500.', 2, @at(1), @at(2));
insert into webhook_secrets (id, webhook_id, sealed, until) values (@id(72), @id(71), @bytes(72), @at(3600)), (@id(73),
    @id(71), @bytes(73), null);
insert into webhook_deliveries (id, webhook_id, event_seq, event_id, type, state, attempts, next_at, sending, status,
    error, response, latency_ms, created_at, finished_at) values
    (@id(74), @id(71), 2, @id(82), 'batch.created', 'delivered', 1, null, false, 204, null, '', 12, @at(10), @at(11)),
    (@id(75), @id(71), 5, @id(85), 'batch.finished', 'pending', 2, @at(331), false, 500, 'The receiver answered 500.',
        'oops', 7, @at(30), null);

-- Later versions keep no refusals, so the third row is removed.
insert into idempotency_keys (scope, key, use_id, fingerprint, created_at, location, status, body) values
    (@id(41), 'MO/4711', @id(91), @bytes(91), @at(10), '/api/v1/batches/@uuid(11)', 202, null),
    (@id(nil), 'purge', @id(92), @bytes(92), @at(20), null, 200, '{"deleted":3}'),
    (@id(nil), 'refused', @id(93), @bytes(93), @at(21), null, 409, '{"code":"conflict"}');

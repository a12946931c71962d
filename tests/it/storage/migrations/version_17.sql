-- Further rows as schema version 17 stored them, the last one before 0018_names.sql.

update printers set proxy_user = 'farm', header_names = '["x-access-token"]',
    ca_certificate = '-----BEGIN CERTIFICATE-----' where name = 'XL-02';
insert into printer_secrets (id, printer_id, kind, sealed) values (@id(a1), @id(02), 'proxy_password', @bytes(a1));

insert into sightings (printer_id, state, mark, observed_at, octoprint_version, reachability) values
    (@id(06), 'printing',
        '{"file": null, "completion": 99.5, "file_position": null, "print_time_s": 7, "of": {"print": "@uuid(24)"}, "state": "printing", "started_by": "@uuid(31)"}',
        @at(60), null, 'unreachable');
insert into prints (id, printer_id, file_path, file_origin, started_at, started_by_kind, started_by_command, batch_id,
    external_ref) values
    (@id(24), @id(06), 'parts/a.gcode', 'local', @at(53), 'command', @id(31), @id(11), 'MO/4711');

insert into batches (id, command, external_ref, due_at, spec, state, created_at, finished_at, created_by, retry_of) values
    (@id(14), 'pause', null, @at(60),
        '{"command": "pause", "file": null, "expected_job": null, "plate": "check", "max_in_flight": 0, "interval_ms": 0, "max_heating": 0, "not_before": null, "expires_in_s": 60, "window_s": 14400, "confirm_within_s": 60, "when_unreachable": "fail", "on_failure": "continue", "force": false, "named": false, "states": [], "token_id": "@uuid(42)", "user_id": null, "token_line": "@uuid(41)", "reason": null, "external_ref": null}',
        'finished', @at(60), @at(60), 'erp', null);

insert into idempotency_keys (scope, key, use_id, fingerprint, created_at, location, status, body, body_bytes,
    body_gone) values
    (@id(41), 'large', @id(94), @bytes(94), @at(22), null, 200, null, null, true);
insert into retention_clock (id, checked_at, steady_s) values (1, @at(400), 7200);
update health set written_at = @at(401);
update server_epoch set epoch = 3, host = 'farm-1', pid = 4242, since = @at(1);

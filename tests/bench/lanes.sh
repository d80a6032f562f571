# lanes.sh - what lanes and webhooks cost; sourced by `run`, whose functions it uses
#
#     requests go out           beside a bare loop over curl's multi interface
#     webhooks come in          requests a second, each on disk before it is answered, beside nginx answering 200
#     mails go out              beside a bare SMTP client at the same relay

free_port() {
    perl -MIO::Socket::INET -e 'print IO::Socket::INET->new(Listen => 1, LocalAddr => "127.0.0.1")->sockport'
}

# Answers 200 to everything, and counts.
start_nginx() {
    HTTP_PORT=$(free_port)
    mkdir -p "$work/nginx"
    cat >"$work/nginx/nginx.conf" <<END
daemon off;
pid $work/nginx/pid;
error_log $work/nginx/error.log;
worker_processes 1;
events { worker_connections 1024; }
http {
  access_log off;
  keepalive_requests 100000000;
  client_body_temp_path $work/nginx/body;
  server {
    listen 127.0.0.1:$HTTP_PORT;
    location = /count { stub_status; }
    location / { return 200 "{}"; }
  }
}
END
    nginx -e "$work/nginx/error.log" -c "$work/nginx/nginx.conf" >>"$work/nginx/log" 2>&1 &
    nginx=$!
    tries=0
    until requests >/dev/null 2>&1; do
        tries=$((tries + 1))
        [ $tries -le 200 ] || fail "nginx does not answer: $(cat "$work/nginx/error.log")"
        sleep 0.05
    done
}

requests() { curl -sf "http://127.0.0.1:$HTTP_PORT/count" | awk 'NR == 3 { print $3 }'; } # that nginx has answered

waiting() { # $1: connection; effects in its lane
    headgate status --json | sed "s/.*\"connection\":\"$1\"[^}]*\"waiting\":\([0-9]*\).*/\1/"
}

await_waiting() { # $1: connection, $2: how many
    tries=0
    until [ "$(waiting "$1")" = "$2" ]; do
        tries=$((tries + 1))
        [ $tries -le 300 ] || fail "the outbox does not fill: $(waiting "$1") of $2"
        sleep 1
    done
}

# A connection that is marked for another environment is not opened: its effects gather.  Without the mark they leave.
target() { # $1: what else it says
    CONNECTIONS="  target: {adapter: http, base: \"http://127.0.0.1:$HTTP_PORT\", private: true, concurrency: 16$1}
  mail: {adapter: smtp, url: \"smtp://127.0.0.1:${SMTP_PORT:-1}\", from: bench@example.com, concurrency: 4$1}
  hooks: {adapter: http, webhook_verify: none}
webhooks: {listen: \"127.0.0.1:$HOOK_PORT\"}"
}

fill_outbox() { # $1: flow, $2: routing key, $3: connection, $4: how many
    target ", environment: elsewhere"
    fresh_daemon "$here/lane-flows" "$1"
    gate on "$1"
    await_source "$1"
    pulse load bench.in "$2" "$4" "$1"
    await_waiting "$3" "$4"
    gate off "$1"
}

# Nginx answers at once: what is measured is the way from the outbox to the receipt.
measure_http() {
    say "HTTP lane: $ROUNDS rounds of $REQUESTS requests, to nginx"
    fill_outbox put put target $((REQUESTS * ROUNDS))
    stop_daemon
    target ''
    write_configuration "$here/lane-flows"
    for round in $(seq $ROUNDS); do
        # shellcheck disable=SC2046
        set -- $("$build/bench/drain" "http://127.0.0.1:$HTTP_PORT/things" $REQUESTS 16)
        figure drain.bare "$1"
        [ "$2" = 0 ] || fail "the bare loop had $2 bad answers"
        first=$(requests)
        start_daemon
        sample_memory
        begun=$(now_ms)
        await_requests $((first + REQUESTS * 9 / 10))
        figure drain.headgate $((($(requests) - first) * 1000 / ($(now_ms) - begun)))
        end_process "$sampler"
        sampler=''
        figure drain-memory.headgate "$(cat "$work/private")"
        stop_daemon
    done
}

await_requests() { # $1: count
    tries=0
    until [ "$(requests)" -ge "$1" ] || [ $tries -gt 600 ]; do
        tries=$((tries + 1))
        sleep 0.05
    done
}

wrk_rate() { # $1: port; requests a second
    wrk -t1 -c64 -d${HOOK_SECONDS}s -s "$here/hook.lua" "http://127.0.0.1:$1/hook" >"$work/wrk"
    ! grep -q 'Non-2xx' "$work/wrk" || fail "webhooks were refused: $(cat "$work/wrk")"
    awk '/^Requests\/sec/ { printf "%d", $2 }' "$work/wrk"
}

measure_hooks() {
    say "webhooks: $ROUNDS rounds of $HOOK_SECONDS s"
    target ''
    fresh_daemon "$here/lane-flows" hook
    gate on hook
    await_source hook
    for round in $(seq $ROUNDS); do
        figure hooks.bare "$(wrk_rate "$HTTP_PORT")"
        figure hooks.headgate "$(wrk_rate "$HOOK_PORT")"
    done
    stop_daemon
}

start_sandbox() {
    rm -f "$work/places"
    "$build/headgate" sandbox --ready-file "$work/places" --http-port 0 --opsgenie-port 0 --mailbox-port 0 \
        --mailbox-smtp-port 0 >"$work/sandbox.log" 2>&1 &
    sandbox=$!
    tries=0
    until [ -s "$work/places" ]; do
        tries=$((tries + 1))
        [ $tries -le 200 ] || fail "the simulators do not start"
        sleep 0.05
    done
    SMTP_PORT=$(sed -n 's/.*"mailbox_smtp": ".*:\([0-9]*\)".*/\1/p' "$work/places")
    MAILBOX=$(sed -n 's/.*"mailbox_pages": "\(.*\)".*/\1/p' "$work/places")
}

mails() { curl -sf "$MAILBOX/sandbox/mailbox/summary" | sed 's/^{"count":\([0-9]*\).*/\1/'; }

measure_mails() {
    say "mails: $ROUNDS rounds of $MAILS"
    fill_outbox mails mail mail $((MAILS * ROUNDS))
    stop_daemon
    target ''
    write_configuration "$here/lane-flows"
    for round in $(seq $ROUNDS); do
        figure mails.bare "$("$build/bench/mails" "$SMTP_PORT" $MAILS 4)"
        first=$(mails) begun=$(now_ms)
        start_daemon
        tries=0
        until [ $(($(mails) - first)) -ge $((MAILS * 3 / 4)) ] || [ $tries -gt 600 ]; do
            tries=$((tries + 1))
            sleep 0.1
        done
        figure mails.headgate $((($(mails) - first) * 1000 / ($(now_ms) - begun)))
        stop_daemon
    done
}

# The far sides that the figures of this file need, for as long as one of them is measured.
in_lanes() { # $1: the measurement
    HOOK_PORT=$(free_port)
    start_nginx
    start_sandbox
    "$1"
    end_process "$nginx"
    end_process "$sandbox"
    nginx='' sandbox=''
}

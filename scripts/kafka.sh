#!/usr/bin/env bash
# A real Apache Kafka for tests: one node, KRaft, on free ports of 127.0.0.1, from Maven Central's jars.
#
#   scripts/kafka.sh fetch             fill the cache (start does it too; later runs need no network)
#   scripts/kafka.sh start DIR [PID]   start a broker that keeps its data in DIR, or start the one of DIR again on the
#                                      same port; prints broker=127.0.0.1:PORT once it answers. With PID the broker dies
#                                      when that process does, and DIR goes with it.
#   scripts/kafka.sh stop DIR          stop it, as SIGTERM would
#   scripts/kafka.sh kill DIR          stop it, as a power cut would
#   scripts/kafka.sh read BROKER TOPIC print every record that a read_committed Java client sees, one JSON object a line
#   scripts/kafka.sh write BROKER TOPIC FILE PARTITIONS   create a topic and write the lines of a file to it
#
# Exit codes: 0 done, 1 failed, 2 wrong usage, 3 Maven or Java 17 is missing.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
pom=$here/kafka/pom.xml
cache=${XDG_CACHE_HOME:-$HOME/.cache}/kaflowsql/kafka
# What another version of these files fetched is left alone.
version=$(cat "$pom" "$here"/kafka/*.java "$here/kafka.sh" | cksum | cut -d' ' -f1)
home=$cache/$version

missing() {
    echo "kafka.sh: $1" >&2
    exit 3
}

need_java() {
    command -v javac >/dev/null && command -v java >/dev/null ||
        missing "a Java development kit (17 or later) is needed for the test broker; on Debian and Ubuntu: apt-get install openjdk-17-jdk-headless"
    local major
    major=$(java -version 2>&1 | sed -n 's/.*version "\([0-9]*\).*/\1/p' | head -n 1)
    [ "${major:-0}" -ge 17 ] || missing "Java 17 or later is needed for the test broker, found version ${major:-unknown}"
}

fetch() {
    need_java
    [ -e "$home/complete" ] && return
    mkdir -p "$cache"
    # Tests may fetch side by side: the first does the work.
    exec 9>"$cache/lock"
    flock 9
    if [ ! -e "$home/complete" ]; then
        command -v mvn >/dev/null ||
            missing "Maven is needed to fetch the test broker; on Debian and Ubuntu: apt-get install maven"
        rm -rf "$home"
        mkdir -p "$home"
        echo "kafka.sh: fetching Apache Kafka into $home" >&2
        mvn -q -B -f "$pom" org.apache.maven.plugins:maven-dependency-plugin:3.6.1:copy-dependencies \
            -DincludeScope=runtime -DoutputDirectory="$home/lib" >&2
        javac -cp "$home/lib/*" -d "$home/tools" "$here"/kafka/*.java
        format_template
        touch "$home/complete"
    fi
    exec 9>&-
}

# An empty, formatted data folder: formatting costs a JVM, copying costs nothing.
format_template() {
    write_properties "$home/template" 1 2
    java -Xmx256m -XX:TieredStopAtLevel=1 -Dorg.slf4j.simpleLogger.defaultLogLevel=warn -cp "$home/lib/*" \
        kafka.tools.StorageTool format \
        --cluster-id kaflowsql-tests-00000A -c "$home/template/server.properties" >"$home/template/format.log" 2>&1 || {
        cat "$home/template/format.log" >&2
        exit 1
    }
    rm "$home/template/server.properties"
}

# write_properties DIR PORT CONTROLLER_PORT
write_properties() {
    mkdir -p "$1"
    cat >"$1/server.properties" <<EOF
process.roles=broker,controller
node.id=1
controller.quorum.voters=1@127.0.0.1:$3
controller.listener.names=CONTROLLER
listeners=PLAINTEXT://127.0.0.1:$2,CONTROLLER://127.0.0.1:$3
advertised.listeners=PLAINTEXT://127.0.0.1:$2,CONTROLLER://127.0.0.1:$3
listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT
inter.broker.listener.name=PLAINTEXT
log.dirs=$1/data
auto.create.topics.enable=false
num.partitions=1
default.replication.factor=1
min.insync.replicas=1
offsets.topic.num.partitions=4
offsets.topic.replication.factor=1
transaction.state.log.num.partitions=4
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1
group.initial.rebalance.delay.ms=0
group.min.session.timeout.ms=1000
# Tests use old timestamps; nothing may be deleted under them.
log.retention.ms=-1
log.retention.bytes=-1
log.cleaner.dedupe.buffer.size=4194304
log.index.size.max.bytes=1048576
num.network.threads=2
num.io.threads=4
# A broker that was killed may come back at once, not after the default of nine seconds.
broker.session.timeout.ms=2000
broker.heartbeat.interval.ms=250
EOF
}

# A free port below the range from which the kernel hands out ephemeral ones.
free_port() {
    local port
    while :; do
        port=$((20000 + (RANDOM * 32768 + RANDOM) % 12000))
        (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null || break
    done
    echo "$port"
}

# The broker's process id, if it runs and is the one that this script started for $1.
running() {
    local pid
    pid=$(cat "$1/pid" 2>/dev/null) || return 1
    tr "\0" " " 2>/dev/null <"/proc/$pid/cmdline" | grep -qF " $1/server.properties" || return 1
    echo "$pid"
}

start() {
    local dir=$1 parent=${2:-} attempt port pid
    fetch
    mkdir -p "$dir"
    dir=$(cd "$dir" && pwd)
    if running "$dir" >/dev/null; then
        echo "kafka.sh: a broker already runs in $dir" >&2
        exit 1
    fi
    for attempt in 1 2 3; do
        if [ ! -e "$dir/data" ]; then
            port=$(free_port)
            write_properties "$dir" "$port" "$(free_port)"
            cp -a "$home/template/data" "$dir/data"
        fi
        port=$(sed -n 's|^listeners=PLAINTEXT://127.0.0.1:\([0-9]*\),.*|\1|p' "$dir/server.properties")
        [ ! -e "$dir/broker.log" ] || mv "$dir/broker.log" "$dir/broker.previous.log"
        : >"$dir/broker.log"
        # shellcheck disable=SC2086
        setsid java ${KAFLOWSQL_KAFKA_JVM:--Xms256m -Xmx768m -XX:+UseSerialGC -XX:TieredStopAtLevel=1 -Xshare:auto} \
            -Dorg.slf4j.simpleLogger.defaultLogLevel=warn -Dorg.slf4j.simpleLogger.showDateTime=true \
            -Dorg.slf4j.simpleLogger.log.kafka.server.KafkaRaftServer=info \
            -cp "$home/lib/*" kafka.Kafka "$dir/server.properties" >"$dir/broker.log" 2>&1 </dev/null 9>&- &
        pid=$!
        echo "$pid" >"$dir/pid"
        [ -z "$parent" ] || watch "$parent" "$pid" "$dir"
        for _ in $(seq 600); do
            if grep -q "Kafka Server started" "$dir/broker.log"; then
                touch "$dir/started"
                echo "broker=127.0.0.1:$port"
                return
            fi
            kill -0 "$pid" 2>/dev/null || break
            sleep 0.1
        done
        kill -KILL "$pid" 2>/dev/null || true
        # Somebody took the port between the look and the start; any other reason is for a person to read.
        grep -q "Address already in use" "$dir/broker.log" && [ ! -e "$dir/started" ] || break
        rm -rf "$dir/data" "$dir/broker.log"
    done
    echo "kafka.sh: the broker in $dir did not start; the end of $dir/broker.log:" >&2
    tail -n 20 "$dir/broker.log" >&2
    exit 1
}

# Kills the broker once its parent is gone, however it went: nothing of a test outlives it. The command line is looked at
# only then: right after the fork it is still this script's.
watch() {
    setsid bash -c 'tail --pid="$1" -f /dev/null & tail=$!
        while kill -0 "$2" 2>/dev/null && kill -0 "$tail" 2>/dev/null; do sleep 0.5; done
        kill "$tail" 2>/dev/null && exit
        grep -qF "$3/server.properties" "/proc/$2/cmdline" 2>/dev/null && kill -KILL "$2"
        rm -rf "$3"' \
        watch "$1" "$2" "$3" >/dev/null 2>&1 </dev/null &
}

# end DIR SIGNAL
end() {
    local dir pid
    dir=$(cd "$1" 2>/dev/null && pwd) || return 0
    pid=$(running "$dir") || return 0
    kill "-$2" "$pid" 2>/dev/null || true
    for _ in $(seq 200); do
        running "$dir" >/dev/null || break
        sleep 0.05
    done
    running "$dir" >/dev/null && kill -KILL "$pid" 2>/dev/null || true
    rm -f "$dir/pid"
}

# client CLASS ARGUMENT …: one of the small programs beside this script.
client() {
    fetch
    exec java -Xmx256m -XX:TieredStopAtLevel=1 -XX:+UseSerialGC -Dorg.slf4j.simpleLogger.defaultLogLevel=error \
        -cp "$home/lib/*:$home/tools" "$@"
}

usage() {
    sed -n '2,/^set /p' "${BASH_SOURCE[0]}" | sed -n 's/^# \{0,1\}//p' >&2
    exit 2
}

case "${1:-} $#" in
"fetch 1") fetch ;;
"start 2" | "start 3") start "$2" "${3:-}" ;;
"stop 2") end "$2" TERM ;;
"kill 2") end "$2" KILL ;;
"read 3") client Read "$2" "$3" ;;
"write 5") client Write "$2" "$3" "$4" "$5" ;;
*) usage ;;
esac

import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.HexFormat;
import java.util.List;
import java.util.Map;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.common.PartitionInfo;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.header.Header;
import org.apache.kafka.common.serialization.ByteArrayDeserializer;

/**
 * Prints every record of a topic as a read_committed reader sees it, up to the end that the topic has at start: one JSON
 * object a line, bytes in hex, partition after partition. The judge of what the engine delivered: not librdkafka.
 */
public class Read {
    public static void main(String[] arguments) {
        Map<String, Object> config = new HashMap<>();
        config.put("bootstrap.servers", arguments[0]);
        config.put("isolation.level", "read_committed");
        config.put("auto.offset.reset", "none");
        config.put("enable.auto.commit", "false");
        config.put("fetch.max.wait.ms", "50");
        ByteArrayDeserializer bytes = new ByteArrayDeserializer();
        try (KafkaConsumer<byte[], byte[]> consumer = new KafkaConsumer<>(config, bytes, bytes)) {
            List<TopicPartition> partitions = new ArrayList<>();
            for (PartitionInfo partition : consumer.partitionsFor(arguments[1], Duration.ofSeconds(30))) {
                partitions.add(new TopicPartition(partition.topic(), partition.partition()));
            }
            partitions.sort((left, right) -> Integer.compare(left.partition(), right.partition()));
            Map<TopicPartition, Long> ends = consumer.endOffsets(partitions, Duration.ofSeconds(30));
            StringBuilder out = new StringBuilder();
            for (TopicPartition partition : partitions) {
                consumer.assign(List.of(partition));
                consumer.seekToBeginning(List.of(partition));
                while (consumer.position(partition, Duration.ofSeconds(30)) < ends.get(partition)) {
                    for (ConsumerRecord<byte[], byte[]> record : consumer.poll(Duration.ofMillis(100)).records(partition)) {
                        print(out, record);
                    }
                    System.out.print(out);
                    out.setLength(0);
                }
            }
        }
        System.out.flush();
    }

    private static void print(StringBuilder out, ConsumerRecord<byte[], byte[]> record) {
        out.append("{\"partition\":").append(record.partition());
        out.append(",\"offset\":").append(record.offset());
        out.append(",\"timestamp\":").append(record.timestamp());
        out.append(",\"key\":").append(hex(record.key()));
        out.append(",\"value\":").append(hex(record.value()));
        out.append(",\"headers\":[");
        String separator = "";
        for (Header header : record.headers()) {
            out.append(separator).append('[').append(hex(header.key().getBytes(StandardCharsets.UTF_8)));
            out.append(',').append(hex(header.value())).append(']');
            separator = ",";
        }
        out.append("]}\n");
    }

    private static String hex(byte[] bytes) {
        return bytes == null ? "null" : '"' + HexFormat.of().formatHex(bytes) + '"';
    }
}

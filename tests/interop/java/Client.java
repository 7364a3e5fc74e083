import io.opentelemetry.api.common.AttributeKey;
import io.opentelemetry.api.common.Attributes;
import io.opentelemetry.api.metrics.LongCounter;
import io.opentelemetry.api.trace.Span;
import io.opentelemetry.exporter.otlp.logs.OtlpGrpcLogRecordExporter;
import io.opentelemetry.exporter.otlp.metrics.OtlpGrpcMetricExporter;
import io.opentelemetry.exporter.otlp.trace.OtlpGrpcSpanExporter;
import io.opentelemetry.sdk.common.CompletableResultCode;
import io.opentelemetry.sdk.logs.SdkLoggerProvider;
import io.opentelemetry.sdk.logs.data.LogRecordData;
import io.opentelemetry.sdk.logs.export.BatchLogRecordProcessor;
import io.opentelemetry.sdk.logs.export.LogRecordExporter;
import io.opentelemetry.sdk.metrics.SdkMeterProvider;
import io.opentelemetry.sdk.metrics.data.MetricData;
import io.opentelemetry.sdk.metrics.export.AggregationTemporalitySelector;
import io.opentelemetry.sdk.metrics.export.MetricExporter;
import io.opentelemetry.sdk.metrics.export.PeriodicMetricReader;
import io.opentelemetry.sdk.resources.Resource;
import io.opentelemetry.sdk.trace.SdkTracerProvider;
import io.opentelemetry.sdk.trace.data.SpanData;
import io.opentelemetry.sdk.trace.export.BatchSpanProcessor;
import io.opentelemetry.sdk.trace.export.SpanExporter;
import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.lang.reflect.InvocationTargetException;
import java.lang.reflect.Proxy;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Collection;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.concurrent.TimeUnit;
import java.util.function.Function;
import java.util.stream.Collectors;
import java.util.stream.Stream;

/**
 * An application with the OpenTelemetry SDK that knows which of its items were taken; over OTLP/gRPC, the default of the
 * SDK's autoconfiguration. What it is told and what it prints stands in ../README.md.
 */
public final class Client {
  private static final AttributeKey<String> ID = AttributeKey.stringKey("spillway.test.id");

  /** How the export of each item of a signal ended. */
  private static final class Outcome {
    private final List<String> ok = new ArrayList<>();
    private final List<String> failed = new ArrayList<>();

    /** The exporter, with a note of each export. */
    <I, T> T watch(Class<T> type, T exporter, Function<I, Stream<String>> idsOf) {
      return type.cast(Proxy.newProxyInstance(type.getClassLoader(), new Class<?>[] {type}, (self, method, arguments) -> {
        try {
          Object result = method.invoke(exporter, arguments);
          if (method.getName().equals("export")) {
            @SuppressWarnings("unchecked")
            Collection<I> batch = (Collection<I>) arguments[0];
            List<String> ids = batch.stream().flatMap(idsOf).collect(Collectors.toList());
            CompletableResultCode ended = (CompletableResultCode) result;
            ended.whenComplete(() -> note(ids, ended.isSuccess()));
          }
          return result;
        } catch (InvocationTargetException e) {
          throw e.getCause();
        }
      }));
    }

    private synchronized void note(List<String> ids, boolean success) {
      (success ? ok : failed).addAll(ids);
    }

    synchronized String json(List<String> ids) {
      Set<String> known = new HashSet<>(ok);
      known.addAll(failed);
      List<String> unsent = ids.stream().filter(id -> !known.contains(id)).collect(Collectors.toList());
      return "{\"ok\":" + list(ok) + ",\"failed\":" + list(failed) + ",\"unsent\":" + list(unsent) + "}";
    }

    private static String list(List<String> ids) {
      return ids.stream().map(id -> '"' + id + '"').collect(Collectors.joining(",", "[", "]"));
    }
  }

  public static void main(String[] arguments) throws Exception {
    Map<String, String> options = new HashMap<>();
    for (int i = 0; i < arguments.length; i += 2) {
      options.put(arguments[i], arguments[i + 1]);
    }
    String endpoint = options.get("--endpoint");
    String producer = options.get("--producer");
    int count = Integer.parseInt(options.get("--count"));

    Outcome traced = new Outcome();
    Outcome measured = new Outcome();
    Outcome logged = new Outcome();
    SpanExporter spans = traced.watch(SpanExporter.class, OtlpGrpcSpanExporter.builder().setEndpoint(endpoint).build(),
        (SpanData span) -> Stream.of(span.getAttributes().get(ID)));
    LogRecordExporter records = logged.watch(LogRecordExporter.class,
        OtlpGrpcLogRecordExporter.builder().setEndpoint(endpoint).build(),
        (LogRecordData record) -> Stream.of(record.getAttributes().get(ID)));
    // With delta temporality a point is exported once, not again in each collection.
    MetricExporter points = measured.watch(MetricExporter.class,
        OtlpGrpcMetricExporter.builder().setEndpoint(endpoint)
            .setAggregationTemporalitySelector(AggregationTemporalitySelector.deltaPreferred()).build(),
        (MetricData metric) -> metric.getData().getPoints().stream().map(point -> point.getAttributes().get(ID)));

    Resource resource = Resource.create(Attributes.of(AttributeKey.stringKey("service.name"), "java-client",
        AttributeKey.stringKey("service.instance.id"), producer));
    SdkTracerProvider tracing = SdkTracerProvider.builder().setResource(resource)
        .addSpanProcessor(BatchSpanProcessor.builder(spans).build()).build();
    SdkMeterProvider metering = SdkMeterProvider.builder().setResource(resource)
        .registerMetricReader(PeriodicMetricReader.builder(points).setInterval(Duration.ofDays(1)).build()).build();
    SdkLoggerProvider logging = SdkLoggerProvider.builder().setResource(resource)
        .addLogRecordProcessor(BatchLogRecordProcessor.builder(records).build()).build();
    LongCounter counter = metering.get("client").counterBuilder("client.items").setUnit("{item}").build();

    List<String> ids = new ArrayList<>();
    BufferedReader rounds = new BufferedReader(new InputStreamReader(System.in));
    while (rounds.readLine() != null) {
      for (int sent = 0; sent < count; sent++) {
        String id = producer + "-" + ids.size();
        ids.add(id);
        Span span = tracing.get("client").spanBuilder("work").setAttribute(ID, id).startSpan();
        span.addEvent("half-way");
        span.end();
        logging.get("client").logRecordBuilder().setBody("did " + id).setAttribute(ID, id).emit();
        counter.add(1, Attributes.of(ID, id));
      }
      // Whether an export failed is noted; that a flush failed says no more.
      for (CompletableResultCode flush : List.of(tracing.forceFlush(), logging.forceFlush(), metering.forceFlush())) {
        flush.join(60, TimeUnit.SECONDS);
      }
      System.out.println("flushed");
    }
    for (CompletableResultCode end : List.of(tracing.shutdown(), logging.shutdown(), metering.shutdown())) {
      end.join(60, TimeUnit.SECONDS);
    }
    System.out.println("{\"producer\":\"" + producer + "\",\"traces\":" + traced.json(ids) + ",\"metrics\":"
        + measured.json(ids) + ",\"logs\":" + logged.json(ids) + "}");
    System.exit(0); // the HTTP client's threads would stay for a minute
  }
}

// OpenTelemetry for the programs of clients.js, as its own documentation sets it up: with the instrumentation of
// @confluentinc/kafka-javascript that the registry has, loaded before the program.
'use strict';

const { OTLPTraceExporter } = require('@opentelemetry/exporter-trace-otlp-proto');
const { registerInstrumentations } = require('@opentelemetry/instrumentation');
const { resourceFromAttributes } = require('@opentelemetry/resources');
const { BatchSpanProcessor, NodeTracerProvider } = require('@opentelemetry/sdk-trace-node');
const instrumentation = require('@instana/instrumentation-confluent-kafka-javascript');

const exporter = new OTLPTraceExporter({ url: `${process.env.OTEL_EXPORTER_OTLP_ENDPOINT}/v1/traces` });
const provider = new NodeTracerProvider({
  resource: resourceFromAttributes({ 'service.name': 'bench' }),
  spanProcessors: [new BatchSpanProcessor(exporter)],
});
provider.register();
const [Instrumentation] = Object.values(instrumentation).filter((value) => /Instrumentation$/.test(value.name || ''));
registerInstrumentations({ instrumentations: [new Instrumentation()] });
process.once('over', () => provider.shutdown());

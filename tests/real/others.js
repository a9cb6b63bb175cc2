// Sends to a topic, or receives from it, with OpenTelemetry's instrumentation of kafkajs: node others.js send|receive SERVERS
// TOPIC,… COUNT. It says its spans itself (span KIND TRACE ID PARENT).
'use strict'
// The packages are where the servers are, not beside this file.
const here = require('node:module').createRequire(process.env.OTHERS + '/')
const { SpanKind } = here('@opentelemetry/api')
const { NodeTracerProvider } = here('@opentelemetry/sdk-trace-node')
const { KafkaJsInstrumentation } = here('@opentelemetry/instrumentation-kafkajs')

const says = {
  onStart () {},
  onEnd (span) {
    const of = span.spanContext()
    console.log('span', SpanKind[span.kind], of.traceId, of.spanId, span.parentSpanContext?.spanId)
  },
  async forceFlush () {},
  async shutdown () {}
}
const provider = new NodeTracerProvider({ spanProcessors: [says] })
provider.register()
const instrumentation = new KafkaJsInstrumentation()
instrumentation.setTracerProvider(provider)
const { Kafka, logLevel } = here('kafkajs')

async function main () {
  const [does, servers, topic, count] = process.argv.slice(2)
  const kafka = new Kafka({ brokers: [servers], logLevel: logLevel.ERROR })
  if (does === 'send') {
    const producer = kafka.producer()
    await producer.connect()
    for (let at = 0; at < count; at++) await producer.send({ topic, messages: [{ key: 'key', value: `message ${at}`, partition: 0 }] })
    return producer.disconnect()
  }
  const consumer = kafka.consumer({ groupId: `others-${topic}` })
  await consumer.connect()
  await consumer.subscribe({ topics: topic.split(','), fromBeginning: true })
  let left = Number(count)
  await new Promise(resolve => consumer.run({ eachMessage: async () => { if (--left === 0) setTimeout(resolve, 100) } }))
  await consumer.disconnect()
}
main().catch(error => { console.error(error); process.exit(1) })

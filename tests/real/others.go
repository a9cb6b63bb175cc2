// Sends to a topic, or receives from it, with kotel: others send|receive SERVERS TOPIC,… COUNT. It says its spans itself
// (span KIND TRACE ID PARENT).
package main

import (
	"context"
	"fmt"
	"os"
	"strconv"
	"strings"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/plugin/kotel"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/sdk/trace"
)

type says struct{}

func (says) OnStart(context.Context, trace.ReadWriteSpan) {}
func (says) Shutdown(context.Context) error               { return nil }
func (says) ForceFlush(context.Context) error             { return nil }
func (says) OnEnd(span trace.ReadOnlySpan) {
	of := span.SpanContext()
	fmt.Println("span", strings.ToUpper(span.SpanKind().String()), of.TraceID(), of.SpanID(), span.Parent().SpanID())
}

func must(err error) {
	if err != nil {
		panic(err)
	}
}

func main() {
	does, servers, topic := os.Args[1], os.Args[2], os.Args[3]
	count, err := strconv.Atoi(os.Args[4])
	must(err)
	tracer := kotel.NewTracer(
		kotel.TracerProvider(trace.NewTracerProvider(trace.WithSpanProcessor(says{}))),
		kotel.TracerPropagator(propagation.NewCompositeTextMapPropagator(propagation.TraceContext{}, propagation.Baggage{})),
	)
	options := []kgo.Opt{kgo.SeedBrokers(servers), kgo.WithHooks(kotel.NewKotel(kotel.WithTracer(tracer)).Hooks()...)}
	if does == "receive" {
		options = append(options, kgo.ConsumeTopics(strings.Split(topic, ",")...), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	}
	client, err := kgo.NewClient(options...)
	must(err)
	defer client.Close()
	for at := 0; does == "send" && at < count; at++ {
		record := &kgo.Record{Topic: topic, Key: []byte("key"), Value: fmt.Appendf(nil, "message %d", at)}
		must(client.ProduceSync(context.Background(), record).FirstErr())
	}
	for does == "receive" && count > 0 {
		fetches := client.PollFetches(context.Background())
		must(fetches.Err())
		count -= fetches.NumRecords()
	}
}

// A program with several services, as tests want it:
//
//	flow close    `front` sends orders and consumes payments; `back` makes the ones from the others, and passes their
//	              headers on. Every client is closed at the end.
//	flow exit     The same, ended by os.Exit with every client open.
//	many PARTITIONS
//	              Sends and consumes rounds of messages, and says how much memory is resident after each: see
//	              tests/words/foreign/rounds.rs.
package main

import (
	"fmt"
	"os"
	"runtime/debug"
	"strconv"
	"strings"
	"time"
)

const orders = 3

func main() {
	switch os.Args[1] {
	case "flow":
		flow(os.Args[2])
	case "many":
		many(number(os.Args[2]))
	}
}

func flow(ending string) {
	producer := newProducer()
	back := newConsumer("back", "orders", 1)
	front := newConsumer("front", "payments", 1)
	for order := 0; order < orders; order++ {
		send(producer, "orders", 0, fmt.Sprintf("order %d", order), nil)
		ordered := next(back)
		send(producer, "payments", 0, "paid: "+string(ordered.Value), ordered.Headers)
		fmt.Println(string(next(front).Value))
	}
	flush(producer)
	if ending == "exit" {
		os.Exit(0)
	}
	must(back.Close())
	must(front.Close())
	producer.Close()
}

func many(partitions int) {
	const rounds, round = 5, 20_000
	producer := newProducer()
	consumer := newConsumer("many", "many", partitions)
	for done := 0; done < rounds; done++ {
		for number := 0; number < round; number++ {
			send(producer, "many", int32(number%partitions), fmt.Sprintf("message %d", number), nil)
		}
		for number := 0; number < round; number++ {
			next(consumer)
		}
		flush(producer)
		awaitFile(os.Getenv("ROUND_DONE") + strconv.Itoa(done))
		fmt.Println(residentKibibytes())
	}
	must(consumer.Close())
	producer.Close()
}

func awaitFile(name string) {
	for _, err := os.Stat(name); err != nil; _, err = os.Stat(name) {
		time.Sleep(10 * time.Millisecond)
	}
}

// residentKibibytes is what is left after Go has given back what it does not need.
func residentKibibytes() int {
	debug.FreeOSMemory()
	status, err := os.ReadFile("/proc/self/status")
	must(err)
	_, after, _ := strings.Cut(string(status), "VmRSS:")
	return number(strings.Fields(after)[0])
}

func number(text string) int {
	number, err := strconv.Atoi(text)
	must(err)
	return number
}

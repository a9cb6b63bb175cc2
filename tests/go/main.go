// A program with several services, as tests want it:
//
//	flow close    `front` sends orders and consumes payments; `back` makes the ones from the others, and passes their
//	              headers on. Every client is closed at the end.
//	flow exit     The same, ended by os.Exit with every client open.
//	many MESSAGES PARTITIONS
//	              Sends and consumes many messages, and says how the memory of the process grew from the first third on.
package main

import (
	"fmt"
	"os"
	"runtime/debug"
	"strconv"
	"strings"
)

const orders = 3

func main() {
	switch os.Args[1] {
	case "flow":
		flow(os.Args[2])
	case "many":
		many(number(os.Args[2]), number(os.Args[3]))
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

func many(messages, partitions int) {
	const chunk = 10_000
	producer := newProducer()
	consumer := newConsumer("many", "many", partitions)
	received, atAThird := 0, 0
	for sent := 0; sent < messages; sent += chunk {
		for number := sent; number < sent+chunk; number++ {
			send(producer, "many", int32(number%partitions), fmt.Sprintf("message %d", number), nil)
		}
		for received < sent+chunk {
			next(consumer)
			received++
		}
		if atAThird == 0 && sent+chunk >= messages/3 {
			atAThird = residentKibibytes()
		}
	}
	grown := residentKibibytes() - atAThird
	flush(producer)
	must(consumer.Close())
	producer.Close()
	fmt.Printf("{\"received\": %d, \"grown\": %d}\n", received, grown/1024)
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

// Command loadgen is both ends of the interop ledger: `send` produces numbered
// and sealed OTLP items, `count` reads what arrived and says what is missing,
// repeated or altered. Both print one JSON object on stdout.
//
// It is written in Go, on the collector's own data model, so that what it sends
// and how it judges what arrived share no line of code with spillway.
package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/signal"
	"syscall"
)

const usage = `usage: loadgen send  --endpoint HOST:PORT --signal traces|metrics|logs --items N [flags]
       loadgen count --files GLOB --signal traces|metrics|logs [flags]
       loadgen COMMAND --help lists the flags.`

func main() {
	commands := map[string]func(context.Context, []string) (any, error){"send": send, "count": count}
	if len(os.Args) < 2 || commands[os.Args[1]] == nil {
		fmt.Fprintln(os.Stderr, usage)
		os.Exit(2)
	}
	// A signal ends the work early, and what was done until then is still reported.
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()

	result, err := commands[os.Args[1]](ctx, os.Args[2:])
	if result != nil {
		line, _ := json.Marshal(result)
		fmt.Println(string(line))
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "loadgen:", err)
		os.Exit(1)
	}
}

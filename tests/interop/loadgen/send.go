package main

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"go.opentelemetry.io/collector/pdata/plog/plogotlp"
	"go.opentelemetry.io/collector/pdata/pmetric/pmetricotlp"
	"go.opentelemetry.io/collector/pdata/ptrace/ptraceotlp"
	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"
	"google.golang.org/grpc/credentials/insecure"
	grpcgzip "google.golang.org/grpc/encoding/gzip"
	"google.golang.org/grpc/status"
)

// plan is what the command line of `send` asks for.
type plan struct {
	endpoint, signal, protocol, producer string
	items, first, perRequest             int64
	senders                              int
	rate                                 float64
	timeout, attemptTimeout              time.Duration
}

// sent is what `send` prints. An item is acknowledged once its request got an OK;
// a request is repeated until it does, so that one whose OK was lost arrives twice.
type sent struct {
	Signal       string           `json:"signal"`
	Producer     string           `json:"producer"`
	Items        int64            `json:"items"`          // asked for
	Acknowledged int64            `json:"acked_items"`    // in requests that got an OK
	Requests     int64            `json:"acked_requests"` // that got an OK
	Attempts     int64            `json:"attempts"`
	Rejected     int64            `json:"rejected_items"` // named by a partial success
	Errors       map[string]int64 `json:"errors"`         // failed attempts by gRPC code or HTTP status
	Seconds      float64          `json:"seconds"`
}

// Attempts of one request: the pause doubles between these two. Whatever answered
// is on this machine, so its wishes for a longer pause are not needed.
const (
	shortestPause = 50 * time.Millisecond
	longestPause  = time.Second
)

func send(ctx context.Context, arguments []string) (any, error) {
	p, err := parsePlan(arguments)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, p.timeout)
	defer cancel()

	report := sent{Signal: p.signal, Producer: p.producer, Items: p.items, Errors: map[string]int64{}}
	var (
		lock    sync.Mutex // guards report
		senders sync.WaitGroup
		next    atomic.Int64 // items handed out so far
		began   = time.Now()
	)
	for range p.senders {
		senders.Go(func() { // each one a client of its own, with its own connection
			client, closeClient := p.connect()
			defer closeClient()
			for {
				start := next.Add(p.perRequest) - p.perRequest
				if start >= p.items || !p.waitForTurn(ctx, began, start) {
					return
				}
				b := block{p.producer, p.first + start, int(min(p.perRequest, p.items-start))}
				export := client(b)
				for pause := shortestPause; ; pause = min(2*pause, longestPause) {
					attempt, done := context.WithTimeout(ctx, p.attemptTimeout)
					rejected, err := export(attempt)
					done()
					lock.Lock()
					report.Attempts++
					if err == nil {
						report.Requests++
						report.Acknowledged += int64(b.items)
						report.Rejected += rejected
					} else {
						report.Errors[errorName(err)]++
					}
					lock.Unlock()
					if err == nil {
						break
					}
					if !sleep(ctx, pause) {
						return
					}
				}
			}
		})
	}
	senders.Wait()
	report.Seconds = time.Since(began).Seconds()
	if report.Acknowledged < p.items {
		return report, fmt.Errorf("stopped with %d of %d items acknowledged", report.Acknowledged, p.items)
	}
	return report, nil
}

func parsePlan(arguments []string) (plan, error) {
	var p plan
	flags := flag.NewFlagSet("send", flag.ExitOnError)
	flags.StringVar(&p.endpoint, "endpoint", "", "host:port of an OTLP receiver")
	flags.StringVar(&p.signal, "signal", "", "traces, metrics or logs")
	flags.StringVar(&p.protocol, "protocol", "grpc", "grpc, http or http-json; always with gzip")
	flags.StringVar(&p.producer, "producer", "loadgen", "name that tells this run's items from others")
	flags.Int64Var(&p.items, "items", 1000, "how many items")
	flags.Int64Var(&p.first, "first", 0, "number of the first item")
	flags.Int64Var(&p.perRequest, "per-request", 1000, "items in a request")
	flags.IntVar(&p.senders, "senders", 8, "clients that send at the same time, one request in flight each")
	flags.Float64Var(&p.rate, "rate", 0, "items a second, 0 for as fast as they are taken")
	flags.DurationVar(&p.timeout, "timeout", 5*time.Minute, "give up after this long")
	flags.DurationVar(&p.attemptTimeout, "attempt-timeout", 10*time.Second, "deadline of one attempt")
	_ = flags.Parse(arguments)
	switch {
	case p.endpoint == "":
		return p, errors.New("--endpoint is missing")
	case requests[p.signal] == nil:
		return p, fmt.Errorf("--signal %q is not traces, metrics or logs", p.signal)
	case p.protocol != "grpc" && p.protocol != "http" && p.protocol != "http-json":
		return p, fmt.Errorf("--protocol %q is not grpc, http or http-json", p.protocol)
	case p.items < 1 || p.perRequest < 1 || p.senders < 1:
		return p, errors.New("--items, --per-request and --senders are at least 1")
	}
	return p, nil
}

// waitForTurn holds the items back to the rate asked for; false when time is up.
func (p plan) waitForTurn(ctx context.Context, began time.Time, start int64) bool {
	if p.rate <= 0 {
		return ctx.Err() == nil
	}
	due := began.Add(time.Duration(float64(start) / p.rate * float64(time.Second)))
	return sleep(ctx, time.Until(due))
}

func sleep(ctx context.Context, d time.Duration) bool {
	select {
	case <-ctx.Done():
		return false
	case <-time.After(d):
		return ctx.Err() == nil
	}
}

// request is one export request, ready to be sent any number of times.
type request struct {
	overGRPC func(context.Context, *grpc.ClientConn) (rejected int64, err error)
	protobuf func() ([]byte, error)
	json     func() ([]byte, error)
}

var requests = map[string]func(block) request{
	"traces": func(b block) request {
		body := ptraceotlp.NewExportRequestFromTraces(traces(b))
		return request{func(ctx context.Context, c *grpc.ClientConn) (int64, error) {
			answer, err := ptraceotlp.NewGRPCClient(c).Export(ctx, body)
			if err != nil {
				return 0, err
			}
			return answer.PartialSuccess().RejectedSpans(), nil
		}, body.MarshalProto, body.MarshalJSON}
	},
	"metrics": func(b block) request {
		body := pmetricotlp.NewExportRequestFromMetrics(metrics(b))
		return request{func(ctx context.Context, c *grpc.ClientConn) (int64, error) {
			answer, err := pmetricotlp.NewGRPCClient(c).Export(ctx, body)
			if err != nil {
				return 0, err
			}
			return answer.PartialSuccess().RejectedDataPoints(), nil
		}, body.MarshalProto, body.MarshalJSON}
	},
	"logs": func(b block) request {
		body := plogotlp.NewExportRequestFromLogs(logs(b))
		return request{func(ctx context.Context, c *grpc.ClientConn) (int64, error) {
			answer, err := plogotlp.NewGRPCClient(c).Export(ctx, body)
			if err != nil {
				return 0, err
			}
			return answer.PartialSuccess().RejectedLogRecords(), nil
		}, body.MarshalProto, body.MarshalJSON}
	},
}

type attempt func(context.Context) (rejected int64, err error)

// connect makes one client of the endpoint: a function from a block to its attempt.
func (p plan) connect() (client func(block) attempt, closeClient func()) {
	if p.protocol != "grpc" {
		transport := &http.Transport{}
		return func(b block) attempt { return p.overHTTP(transport, requests[p.signal](b)) },
			transport.CloseIdleConnections
	}
	_ = grpcgzip.SetLevel(gzip.BestSpeed)
	connection, err := grpc.NewClient("passthrough:///"+p.endpoint,
		grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithDefaultCallOptions(grpc.UseCompressor(grpcgzip.Name)),
		// The library waits up to two minutes between connects: a receiver that came back would look dead.
		grpc.WithConnectParams(grpc.ConnectParams{MinConnectTimeout: 5 * time.Second, Backoff: backoff.Config{
			BaseDelay: shortestPause, Multiplier: 2, MaxDelay: longestPause,
		}}))
	if err != nil { // only an option of ours can be wrong
		panic(err)
	}
	return func(b block) attempt {
		r := requests[p.signal](b)
		return func(ctx context.Context) (int64, error) { return r.overGRPC(ctx, connection) }
	}, func() { connection.Close() }
}

// answered is an HTTP answer other than 200.
type answered struct {
	status int
	body   string
}

func (a answered) Error() string { return fmt.Sprintf("HTTP %d: %s", a.status, a.body) }

// The rejected items of a partial success are read over gRPC only.
func (p plan) overHTTP(transport http.RoundTripper, r request) attempt {
	encode, contentType := r.protobuf, "application/x-protobuf"
	if p.protocol == "http-json" {
		encode, contentType = r.json, "application/json"
	}
	var body bytes.Buffer
	plain, encodeError := encode()
	packer, _ := gzip.NewWriterLevel(&body, gzip.BestSpeed)
	_, _ = packer.Write(plain)
	_ = packer.Close()
	return func(ctx context.Context) (int64, error) {
		if encodeError != nil {
			return 0, encodeError
		}
		post, err := http.NewRequestWithContext(ctx, http.MethodPost,
			"http://"+p.endpoint+"/v1/"+p.signal, bytes.NewReader(body.Bytes()))
		if err != nil {
			return 0, err
		}
		post.Header.Set("Content-Type", contentType)
		post.Header.Set("Content-Encoding", "gzip")
		answer, err := transport.RoundTrip(post)
		if err != nil {
			return 0, err
		}
		defer answer.Body.Close()
		text, err := io.ReadAll(io.LimitReader(answer.Body, 64<<10)) // read to the end, or the connection is not used again
		if err != nil {
			return 0, err
		}
		if answer.StatusCode != http.StatusOK {
			return 0, answered{answer.StatusCode, strings.TrimSpace(string(text))}
		}
		return 0, nil
	}
}

func errorName(err error) string {
	var http answered
	switch {
	case errors.As(err, &http):
		return fmt.Sprintf("HTTP %d", http.status)
	case errors.Is(err, context.DeadlineExceeded):
		return "DeadlineExceeded"
	}
	if s, ok := status.FromError(err); ok {
		return s.Code().String()
	}
	return "connection"
}

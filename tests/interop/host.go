package main

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"strings"
	"sync"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/go-plugin"
	"google.golang.org/grpc"
	"google.golang.org/grpc/status"

	"interop/gopb/probe"
)

// command is one line on stdin. Fields beyond ID and Op belong to the operation.
type command struct {
	ID int
	Op string

	// start
	Contract     string // probe, or engine
	Command      []string
	Env          []string
	SkipHostEnv  bool
	Cookie       string
	Versions     []int
	AutoMTLS     bool
	Multiplex    bool
	StartTimeout float64 // seconds
	SHA256       string
	RootCA       string // PEM file, for static TLS
	SocketFolder string
	SocketGroup  string
	Runner       bool   // start it with a runner of ours instead of go-plugin's own
	SeenAs       string // symlink by which the plugin sees the runner's folder of sockets, to be made
	Reattach     *reattachment

	// calls
	Size        int
	Count       int
	Concurrency int
	Texts       []string
	Stream      string
	Writer      string
	Data        string // base64
	Level       string
	Message     string
	Fields      map[string]string
	Variables   []string
	Seconds     float64
	Code        uint32
	Timeout     float64 // seconds
	Method      string
	Request     json.RawMessage
}

// answer is one line on stdout: a result, or an error with gRPC's code where there is one.
type answer struct {
	ID     int
	Result any    `json:",omitempty"`
	Error  string `json:",omitempty"`
	Code   string `json:",omitempty"`
}

type facts map[string]any

// host drives one plugin.
type host struct {
	client  *plugin.Client
	box     *box
	probe   *probeClient
	engine  *grpc.ClientConn
	records *recorder
	stdout  *recorder
	stderr  *recorder
	raw     *recorder
}

// recorder keeps what is written to it; go-plugin writes from goroutines of its own.
type recorder struct {
	lock sync.Mutex
	data bytes.Buffer
}

func (r *recorder) Write(data []byte) (int, error) {
	r.lock.Lock()
	defer r.lock.Unlock()
	return r.data.Write(data)
}

func (r *recorder) copied() []byte {
	r.lock.Lock()
	defer r.lock.Unlock()
	return bytes.Clone(r.data.Bytes())
}

var operations = map[string]func(*host, context.Context, *command) (any, error){
	"start":       (*host).start,
	"ping":        (*host).ping,
	"echo":        (*host).echo,
	"count":       (*host).count,
	"total":       (*host).total,
	"chat":        (*host).chat,
	"upstream":    (*host).upstream,
	"offer":       (*host).offer,
	"write":       (*host).write,
	"log":         (*host).log,
	"facts":       (*host).facts,
	"sleep":       (*host).sleep,
	"nest":        (*host).nest,
	"upstream_to": (*host).upstreamTo,
	"linger":      (*host).linger,
	"fail":        (*host).fail,
	"die":         (*host).die,
	"seen":        (*host).seen,
	"state":       (*host).state,
	"boxed":       (*host).boxed,
	"kill":        (*host).kill,
	"invoke":      (*host).invoke,
}

// runHost answers commands until stdin ends, each in a goroutine of its own, then kills the plugin.
func runHost([]string) error {
	h := &host{records: &recorder{}, stdout: &recorder{}, stderr: &recorder{}, raw: &recorder{}}
	var answers sync.Mutex
	out := json.NewEncoder(os.Stdout)
	lines := bufio.NewReader(os.Stdin)
	for {
		line, err := lines.ReadBytes('\n')
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return err
		}
		c := &command{}
		if err := json.Unmarshal(line, c); err != nil {
			return fmt.Errorf("%s: %w", line, err)
		}
		perform := func() {
			reply := h.perform(c)
			answers.Lock()
			defer answers.Unlock()
			_ = out.Encode(reply)
		}
		if c.Op == "start" {
			perform() // what follows needs the client
		} else {
			go perform()
		}
	}
	if h.client != nil {
		h.client.Kill()
	}
	return nil
}

func (h *host) perform(c *command) *answer {
	operation, ok := operations[c.Op]
	if !ok {
		return &answer{ID: c.ID, Error: fmt.Sprintf("there is no operation %q", c.Op)}
	}
	ctx, cancel := context.WithTimeout(context.Background(), seconds(c.Timeout))
	defer cancel()
	result, err := operation(h, ctx, c)
	if err != nil {
		return &answer{ID: c.ID, Error: err.Error(), Code: status.Code(err).String()}
	}
	return &answer{ID: c.ID, Result: result}
}

func seconds(number float64) time.Duration {
	return time.Duration(number * float64(time.Second))
}

func (h *host) start(_ context.Context, c *command) (any, error) {
	config, err := h.config(c)
	if err != nil {
		return nil, err
	}
	h.client = plugin.NewClient(config)
	protocol, err := h.client.Client()
	if err != nil {
		h.client.Kill()
		return nil, fmt.Errorf("%w; on the plugin's stderr: %s", err, h.raw.copied())
	}
	dispensed, err := protocol.Dispense(c.Contract)
	if err != nil {
		return nil, err
	}
	switch contract := dispensed.(type) {
	case *probeClient:
		h.probe = contract
	case *grpc.ClientConn:
		h.engine = contract
	}
	result := facts{"version": h.client.NegotiatedVersion(), "id": h.client.ID()}
	if at := h.client.ReattachConfig(); at != nil {
		result["reattach"] = reattachment{
			Protocol: string(at.Protocol), ProtocolVersion: h.client.NegotiatedVersion(), Pid: at.Pid, Test: at.Test,
			Addr: address{Network: at.Addr.Network(), String: at.Addr.String()},
		}
	}
	return result, nil
}

func (h *host) config(c *command) (*plugin.ClientConfig, error) {
	logger := hclog.New(&hclog.LoggerOptions{Name: "host", Level: hclog.Trace, Output: h.records, JSONFormat: true})
	config := &plugin.ClientConfig{
		HandshakeConfig:     probeHandshake,
		VersionedPlugins:    probeSets(c.Versions, logger),
		AllowedProtocols:    []plugin.Protocol{plugin.ProtocolGRPC},
		StartTimeout:        seconds(c.StartTimeout),
		Stderr:              h.raw,
		SyncStdout:          h.stdout,
		SyncStderr:          h.stderr,
		Logger:              logger,
		AutoMTLS:            c.AutoMTLS,
		GRPCBrokerMultiplex: c.Multiplex,
		SkipHostEnv:         c.SkipHostEnv,
	}
	if c.Contract == engineName {
		config.HandshakeConfig = engineHandshake
		config.VersionedPlugins = map[int]plugin.PluginSet{1: {engineName: enginePlugin{}}}
	}
	if c.Cookie != "" {
		config.MagicCookieValue = c.Cookie
	}
	if c.SocketFolder != "" || c.SocketGroup != "" {
		config.UnixSocketConfig = &plugin.UnixSocketConfig{TempDir: c.SocketFolder, Group: c.SocketGroup}
	}
	if c.SHA256 != "" {
		sum, err := hex.DecodeString(c.SHA256)
		if err != nil {
			return nil, err
		}
		config.SecureConfig = &plugin.SecureConfig{Checksum: sum, Hash: sha256.New()}
	}
	if c.RootCA != "" {
		tlsConfig, err := clientTLS(c.RootCA)
		if err != nil {
			return nil, err
		}
		config.TLSConfig = tlsConfig
	}
	if c.Runner {
		config.RunnerFunc = h.runnerOf(c)
		return config, nil
	}
	if c.Reattach == nil {
		config.Cmd = exec.Command(c.Command[0], c.Command[1:]...)
		config.Cmd.Env = c.Env
		return config, nil
	}
	attach, err := attachment(c.Reattach)
	config.Reattach = attach
	// go-plugin looks only there for what to dispense after a reattach outside test mode.
	config.Plugins = probeSets(c.Versions, logger)[c.Reattach.ProtocolVersion]
	return config, err
}

func clientTLS(rootCA string) (*tls.Config, error) {
	text, err := os.ReadFile(rootCA)
	if err != nil {
		return nil, err
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(text) {
		return nil, fmt.Errorf("%s has no certificate", rootCA)
	}
	return &tls.Config{RootCAs: roots, ServerName: "localhost", MinVersion: tls.VersionTLS12}, nil
}

func attachment(at *reattachment) (*plugin.ReattachConfig, error) {
	config := &plugin.ReattachConfig{
		Protocol: plugin.Protocol(at.Protocol), ProtocolVersion: at.ProtocolVersion, Pid: at.Pid, Test: at.Test,
	}
	var err error
	if at.Addr.Network == "unix" {
		config.Addr, err = net.ResolveUnixAddr("unix", at.Addr.String)
	} else {
		config.Addr, err = net.ResolveTCPAddr(at.Addr.Network, at.Addr.String)
	}
	return config, err
}

func (h *host) ping(context.Context, *command) (any, error) {
	protocol, err := h.client.Client()
	if err != nil {
		return nil, err
	}
	return facts{}, protocol.Ping()
}

// echo makes Count calls of Size bytes, Concurrency at a time, and compares what comes back.
func (h *host) echo(ctx context.Context, c *command) (any, error) {
	todo := make(chan int, c.Count)
	for seed := range c.Count {
		todo <- seed
	}
	close(todo)
	failures := make(chan error, c.Concurrency)
	for range c.Concurrency {
		go func() {
			for seed := range todo {
				if err := h.echoOnce(ctx, c.Size, seed); err != nil {
					failures <- err
					return
				}
			}
			failures <- nil
		}()
	}
	var first error
	for range c.Concurrency {
		if err := <-failures; err != nil && first == nil {
			first = err
		}
	}
	return facts{"calls": c.Count, "bytes": c.Count * c.Size}, first
}

func (h *host) echoOnce(ctx context.Context, size, seed int) error {
	sent := pattern(size, seed)
	reply, err := h.probe.Echo(ctx, &probe.Blob{Data: sent})
	if err != nil {
		return err
	}
	if !bytes.Equal(sent, reply.Data) {
		return fmt.Errorf("echo %d: sent %d bytes, got %d that differ", seed, size, len(reply.Data))
	}
	return nil
}

func (h *host) count(ctx context.Context, c *command) (any, error) {
	stream, err := h.probe.Count(ctx, &probe.CountRequest{Frames: uint32(c.Count), Size: uint32(c.Size)})
	if err != nil {
		return nil, err
	}
	frames := 0
	for {
		blob, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			return facts{"frames": frames}, nil
		}
		if err != nil {
			return nil, err
		}
		if !bytes.Equal(blob.Data, pattern(c.Size, frames)) {
			return nil, fmt.Errorf("frame %d differs", frames)
		}
		frames++
	}
}

func (h *host) total(ctx context.Context, c *command) (any, error) {
	stream, err := h.probe.Total(ctx)
	if err != nil {
		return nil, err
	}
	for frame := range c.Count {
		if err := stream.Send(&probe.Blob{Data: pattern(c.Size, frame)}); err != nil {
			return nil, err
		}
	}
	reply, err := stream.CloseAndRecv()
	if err != nil {
		return nil, err
	}
	return facts{"frames": reply.Frames, "bytes": reply.Bytes}, nil
}

func (h *host) chat(ctx context.Context, c *command) (any, error) {
	stream, err := h.probe.Chat(ctx)
	if err != nil {
		return nil, err
	}
	for turn := range c.Count {
		sent := pattern(c.Size, turn)
		if err := stream.Send(&probe.Blob{Data: sent}); err != nil {
			return nil, err
		}
		blob, err := stream.Recv()
		if err != nil {
			return nil, err
		}
		if !bytes.Equal(blob.Data, sent) {
			return nil, fmt.Errorf("turn %d differs", turn)
		}
	}
	if err := stream.CloseSend(); err != nil {
		return nil, err
	}
	_, err = stream.Recv()
	if !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("after the last turn: %v", err)
	}
	return facts{"turns": c.Count}, nil
}

// upstream lets the plugin call the host back, Count times, each over a connection of its own.
func (h *host) upstream(ctx context.Context, c *command) (any, error) {
	var texts []string
	for range c.Count {
		id := h.probe.broker.NextId()
		go serveCallback(h.probe.broker, id, "host:")
		reply, err := h.probe.Upstream(ctx, &probe.UpstreamRequest{ServiceId: id, Texts: c.Texts, EchoSize: uint32(c.Size)})
		if err != nil {
			return nil, err
		}
		texts = append(texts, reply.Texts...)
		if int(reply.Echoed) != c.Size {
			return nil, fmt.Errorf("echo of %d bytes through the broker gave %d", c.Size, reply.Echoed)
		}
	}
	return facts{"texts": texts}, nil
}

// offer calls a service that the plugin accepted, Count times, each over a connection of its own.
func (h *host) offer(ctx context.Context, c *command) (any, error) {
	var texts []string
	for range c.Count {
		offer, err := h.probe.Offer(ctx, &probe.OfferRequest{Prefix: "plugin:"})
		if err != nil {
			return nil, err
		}
		reply, err := h.askOffered(ctx, offer.ServiceId, c)
		if err != nil {
			return nil, err
		}
		texts = append(texts, reply.Texts...)
	}
	return facts{"texts": texts}, nil
}

func (h *host) askOffered(ctx context.Context, id uint32, c *command) (*probe.UpstreamReply, error) {
	conn, err := h.probe.broker.Dial(id)
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	reply, err := askCallback(ctx, probe.NewCallbackClient(conn), c.Texts, uint32(c.Size))
	if err == nil && int(reply.Echoed) != c.Size {
		return nil, fmt.Errorf("echo of %d bytes through the broker gave %d", c.Size, reply.Echoed)
	}
	return reply, err
}

func (h *host) write(ctx context.Context, c *command) (any, error) {
	data, err := base64.StdEncoding.DecodeString(c.Data)
	if err != nil {
		return nil, err
	}
	request := &probe.WriteRequest{
		Stream: probe.Stream(probe.Stream_value[c.Stream]),
		Writer: probe.Writer(probe.Writer_value[c.Writer]),
		Data:   data,
		Times:  uint32(c.Count),
	}
	_, err = h.probe.Write(ctx, request)
	return facts{}, err
}

func (h *host) log(ctx context.Context, c *command) (any, error) {
	_, err := h.probe.Log(ctx, &probe.LogRequest{Level: c.Level, Message: c.Message, Fields: c.Fields})
	return facts{}, err
}

func (h *host) facts(ctx context.Context, c *command) (any, error) {
	return factsOf(h.probe.Facts(ctx, &probe.FactsRequest{Variables: c.Variables}))
}

func factsOf(reply *probe.FactsReply, err error) (any, error) {
	if err != nil {
		return nil, err
	}
	return facts{"pid": reply.Pid, "version": reply.Version, "language": reply.Language, "variables": reply.Variables}, nil
}

func (h *host) nest(ctx context.Context, c *command) (any, error) {
	return factsOf(h.probe.Nest(ctx, &probe.NestRequest{Command: c.Command}))
}

// upstreamTo lets the plugin dial a number that this host has not accepted.
func (h *host) upstreamTo(ctx context.Context, c *command) (any, error) {
	_, err := h.probe.Upstream(ctx, &probe.UpstreamRequest{ServiceId: c.Code})
	return facts{}, err
}

func (h *host) sleep(ctx context.Context, c *command) (any, error) {
	_, err := h.probe.Sleep(ctx, &probe.SleepRequest{Milliseconds: uint32(c.Seconds * 1000)})
	return facts{}, err
}

func (h *host) linger(ctx context.Context, c *command) (any, error) {
	reply, err := h.probe.Linger(ctx, &probe.LingerRequest{Seconds: uint32(c.Seconds)})
	if err != nil {
		return nil, err
	}
	return facts{"pid": reply.Pid}, nil
}

func (h *host) fail(ctx context.Context, c *command) (any, error) {
	_, err := h.probe.Fail(ctx, &probe.FailRequest{Code: c.Code, Message: c.Message})
	return facts{}, err
}

func (h *host) die(ctx context.Context, c *command) (any, error) {
	_, err := h.probe.Die(ctx, &probe.DieRequest{Status: int32(c.Code)})
	return facts{}, err
}

// seen is everything that reached the host beside the answers of calls.
func (h *host) seen(context.Context, *command) (any, error) {
	records := []json.RawMessage{}
	for _, line := range strings.Split(strings.TrimSpace(string(h.records.copied())), "\n") {
		if line != "" {
			records = append(records, json.RawMessage(line))
		}
	}
	return facts{
		"records": records,
		"stdout":  h.stdout.copied(),
		"stderr":  h.stderr.copied(),
		"raw":     h.raw.copied(),
	}, nil
}

func (h *host) state(context.Context, *command) (any, error) {
	return facts{"exited": h.client.Exited()}, nil
}

func (h *host) kill(context.Context, *command) (any, error) {
	began := time.Now()
	h.client.Kill()
	return facts{
		"seconds": time.Since(began).Seconds(),
		"forced":  bytes.Contains(h.records.copied(), []byte("plugin failed to exit gracefully")),
	}, nil
}

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/go-plugin"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"interop/gopb/probe"
)

var probeHandshake = plugin.HandshakeConfig{
	MagicCookieKey:   "DOZE_INTEROP_PLUGIN",
	MagicCookieValue: "c1c2e2c6a3b94a7cbb6b4a8b5b5d1b6e",
}

const probeName = "probe"

// probePlugin is one version of the contract, on either side.
type probePlugin struct {
	plugin.NetRPCUnsupportedPlugin
	version int
	logger  hclog.Logger
}

func (p *probePlugin) GRPCServer(broker *plugin.GRPCBroker, server *grpc.Server) error {
	probe.RegisterProbeServer(server, &probeServer{broker: broker, version: p.version, logger: p.logger})
	return nil
}

// probeClient is what a host gets when it dispenses the contract.
type probeClient struct {
	probe.ProbeClient
	broker *plugin.GRPCBroker
}

func (p *probePlugin) GRPCClient(_ context.Context, broker *plugin.GRPCBroker, conn *grpc.ClientConn) (any, error) {
	return &probeClient{ProbeClient: probe.NewProbeClient(conn), broker: broker}, nil
}

func probeSets(versions []int, logger hclog.Logger) map[int]plugin.PluginSet {
	sets := map[int]plugin.PluginSet{}
	for _, version := range versions {
		sets[version] = plugin.PluginSet{probeName: &probePlugin{version: version, logger: logger}}
	}
	return sets
}

// callback serves Callback on brokered connections.
type callback struct {
	probe.UnimplementedCallbackServer
	prefix string
}

func (c *callback) Upper(_ context.Context, text *probe.Text) (*probe.Text, error) {
	return &probe.Text{Text: c.prefix + strings.ToUpper(text.Text)}, nil
}

func (c *callback) Echo(_ context.Context, blob *probe.Blob) (*probe.Blob, error) {
	return blob, nil
}

// serveCallback accepts one number and serves Callback on it until the broker closes.
func serveCallback(broker *plugin.GRPCBroker, id uint32, prefix string) {
	broker.AcceptAndServe(id, func(options []grpc.ServerOption) *grpc.Server {
		server := unlimitedServer(options)
		probe.RegisterCallbackServer(server, &callback{prefix: prefix})
		return server
	})
}

// unlimitedServer lifts gRPC's limit of 4 MiB on what a server receives; go-plugin lifts only the client's.
func unlimitedServer(options []grpc.ServerOption) *grpc.Server {
	const most = 1<<31 - 1
	return grpc.NewServer(append(options, grpc.MaxRecvMsgSize(most), grpc.MaxSendMsgSize(most))...)
}

type probeServer struct {
	probe.UnimplementedProbeServer
	broker  *plugin.GRPCBroker
	version int
	logger  hclog.Logger
}

func (s *probeServer) Echo(_ context.Context, blob *probe.Blob) (*probe.Blob, error) {
	return blob, nil
}

func (s *probeServer) Count(request *probe.CountRequest, stream grpc.ServerStreamingServer[probe.Blob]) error {
	for frame := range request.Frames {
		if err := stream.Send(&probe.Blob{Data: pattern(int(request.Size), int(frame))}); err != nil {
			return err
		}
	}
	return nil
}

func (s *probeServer) Total(stream grpc.ClientStreamingServer[probe.Blob, probe.TotalReply]) error {
	reply := &probe.TotalReply{}
	for {
		blob, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			return stream.SendAndClose(reply)
		}
		if err != nil {
			return err
		}
		reply.Frames++
		reply.Bytes += uint64(len(blob.Data))
	}
}

func (s *probeServer) Chat(stream grpc.BidiStreamingServer[probe.Blob, probe.Blob]) error {
	for {
		blob, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		if err := stream.Send(blob); err != nil {
			return err
		}
	}
}

func (s *probeServer) Upstream(ctx context.Context, request *probe.UpstreamRequest) (*probe.UpstreamReply, error) {
	conn, err := s.broker.Dial(request.ServiceId)
	if err != nil {
		return nil, status.Errorf(codes.Unavailable, "dial %d: %v", request.ServiceId, err)
	}
	defer conn.Close()
	return askCallback(ctx, probe.NewCallbackClient(conn), request.Texts, request.EchoSize)
}

// askCallback passes each text to a Callback service, then one blob of `size` bytes.
func askCallback(ctx context.Context, client probe.CallbackClient, texts []string, size uint32) (*probe.UpstreamReply, error) {
	reply := &probe.UpstreamReply{}
	for _, text := range texts {
		upper, err := client.Upper(ctx, &probe.Text{Text: text})
		if err != nil {
			return nil, err
		}
		reply.Texts = append(reply.Texts, upper.Text)
	}
	blob, err := client.Echo(ctx, &probe.Blob{Data: pattern(int(size), 0)})
	if err != nil {
		return nil, err
	}
	reply.Echoed = uint32(len(blob.Data))
	return reply, nil
}

func (s *probeServer) Offer(_ context.Context, request *probe.OfferRequest) (*probe.OfferReply, error) {
	id := s.broker.NextId()
	go serveCallback(s.broker, id, request.Prefix)
	return &probe.OfferReply{ServiceId: id}, nil
}

func (s *probeServer) Write(_ context.Context, request *probe.WriteRequest) (*probe.Empty, error) {
	out := os.Stdout
	if request.Stream == probe.Stream_STDERR {
		out = os.Stderr
	}
	data := strings.Repeat(string(request.Data), int(request.Times))
	if request.Writer == probe.Writer_SELF {
		_, err := io.WriteString(out, data)
		return &probe.Empty{}, err
	}
	child := exec.Command("cat")
	child.Stdin = strings.NewReader(data)
	child.Stdout = out
	return &probe.Empty{}, child.Run()
}

func (s *probeServer) Log(_ context.Context, request *probe.LogRequest) (*probe.Empty, error) {
	var fields []any
	for key, value := range request.Fields {
		fields = append(fields, key, value)
	}
	s.logger.Log(hclog.LevelFromString(request.Level), request.Message, fields...)
	return &probe.Empty{}, nil
}

func (s *probeServer) Facts(_ context.Context, request *probe.FactsRequest) (*probe.FactsReply, error) {
	reply := &probe.FactsReply{Pid: int32(os.Getpid()), Version: int32(s.version), Language: "go", Variables: map[string]string{}}
	for _, name := range request.Variables {
		if value, ok := os.LookupEnv(name); ok {
			reply.Variables[name] = value
		}
	}
	return reply, nil
}

func (s *probeServer) Sleep(ctx context.Context, request *probe.SleepRequest) (*probe.Empty, error) {
	select {
	case <-time.After(time.Duration(request.Milliseconds) * time.Millisecond):
		return &probe.Empty{}, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

func (s *probeServer) Linger(_ context.Context, request *probe.LingerRequest) (*probe.LingerReply, error) {
	child := exec.Command("sleep", strconv.Itoa(int(request.Seconds)))
	child.Stdout, child.Stderr = os.Stdout, os.Stderr
	if err := child.Start(); err != nil {
		return nil, err
	}
	return &probe.LingerReply{Pid: int32(child.Process.Pid)}, nil
}

func (s *probeServer) Fail(_ context.Context, request *probe.FailRequest) (*probe.Empty, error) {
	return nil, status.Error(codes.Code(request.Code), request.Message)
}

func (s *probeServer) Die(_ context.Context, request *probe.DieRequest) (*probe.Empty, error) {
	os.Exit(int(request.Status))
	return nil, fmt.Errorf("unreachable")
}

// pattern is the content of a blob. Its period is a prime, so that a part that is lost, doubled or swapped shows.
func pattern(size, seed int) []byte {
	const period = 251
	data := make([]byte, size)
	for i := range min(period, size) {
		data[i] = byte((i + seed) % period)
	}
	for done := period; done < size; done *= 2 {
		copy(data[done:], data[:done])
	}
	return data
}

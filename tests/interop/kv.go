package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/go-plugin"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"interop/gopb/kv"
)

const kvName = "kv_grpc"

var kvHandshake = plugin.HandshakeConfig{ProtocolVersion: 1, MagicCookieKey: "BASIC_PLUGIN", MagicCookieValue: "hello"}

type kvPlugin struct {
	plugin.NetRPCUnsupportedPlugin
}

func (*kvPlugin) GRPCServer(_ *plugin.GRPCBroker, server *grpc.Server) error {
	kv.RegisterKVServer(server, &kvServer{})
	return nil
}

func (*kvPlugin) GRPCClient(_ context.Context, _ *plugin.GRPCBroker, conn *grpc.ClientConn) (any, error) {
	return kv.NewKVClient(conn), nil
}

// kvServer keeps each value in a file of the working folder.
type kvServer struct {
	kv.UnimplementedKVServer
}

func (*kvServer) Get(_ context.Context, request *kv.GetRequest) (*kv.GetResponse, error) {
	value, err := os.ReadFile("kv_" + request.Key)
	if errors.Is(err, os.ErrNotExist) {
		return nil, status.Errorf(codes.NotFound, "there is no value for %q", request.Key)
	}
	return &kv.GetResponse{Value: value}, err
}

func (*kvServer) Put(_ context.Context, request *kv.PutRequest) (*kv.Empty, error) {
	return &kv.Empty{}, os.WriteFile("kv_"+request.Key, request.Value, 0o644)
}

func serveKV([]string) error {
	plugin.Serve(&plugin.ServeConfig{
		HandshakeConfig: kvHandshake,
		Plugins:         plugin.PluginSet{kvName: &kvPlugin{}},
		GRPCServer:      plugin.DefaultGRPCServer,
	})
	return nil
}

// runKVHost does one put or get with the plugin whose command is in KV_PLUGIN.
func runKVHost(arguments []string) error {
	words := strings.Fields(os.Getenv("KV_PLUGIN"))
	if len(words) == 0 {
		return errors.New("KV_PLUGIN names no command")
	}
	client := plugin.NewClient(&plugin.ClientConfig{
		HandshakeConfig:  kvHandshake,
		Plugins:          plugin.PluginSet{kvName: &kvPlugin{}},
		Cmd:              exec.Command(words[0], words[1:]...),
		AllowedProtocols: []plugin.Protocol{plugin.ProtocolGRPC},
		Logger:           hclog.NewNullLogger(),
	})
	defer client.Kill()
	protocol, err := client.Client()
	if err != nil {
		return err
	}
	dispensed, err := protocol.Dispense(kvName)
	if err != nil {
		return err
	}
	return doKV(dispensed.(kv.KVClient), arguments)
}

func doKV(client kv.KVClient, arguments []string) error {
	ctx := context.Background()
	switch {
	case len(arguments) == 2 && arguments[0] == "get":
		reply, err := client.Get(ctx, &kv.GetRequest{Key: arguments[1]})
		if err != nil {
			return err
		}
		_, err = os.Stdout.Write(append(reply.Value, '\n'))
		return err
	case len(arguments) == 3 && arguments[0] == "put":
		_, err := client.Put(ctx, &kv.PutRequest{Key: arguments[1], Value: []byte(arguments[2])})
		return err
	}
	return fmt.Errorf("expected get KEY or put KEY VALUE, got %q", arguments)
}

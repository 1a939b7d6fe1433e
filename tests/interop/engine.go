package main

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/hashicorp/go-plugin"
	"google.golang.org/grpc"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"

	_ "interop/gopb/engine" // registers the messages of dozeplugin.v1
)

const engineName = "engine"

// engineHandshake is doze's.
var engineHandshake = plugin.HandshakeConfig{ProtocolVersion: 1, MagicCookieKey: "DOZE_PLUGIN", MagicCookieValue: "engine"}

// enginePlugin is the host's side of the engine contract; calls are made by name, with `invoke`.
type enginePlugin struct {
	plugin.NetRPCUnsupportedPlugin
}

func (enginePlugin) GRPCServer(*plugin.GRPCBroker, *grpc.Server) error {
	return fmt.Errorf("only Python serves the engine contract here")
}

func (enginePlugin) GRPCClient(_ context.Context, _ *plugin.GRPCBroker, conn *grpc.ClientConn) (any, error) {
	return conn, nil
}

// invoke calls c.Method, a full name such as dozeplugin.v1.Engine.Plan, with messages in protobuf's JSON form.
func (h *host) invoke(ctx context.Context, c *command) (any, error) {
	found, err := protoregistry.GlobalFiles.FindDescriptorByName(protoreflect.FullName(c.Method))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", c.Method, err)
	}
	method, ok := found.(protoreflect.MethodDescriptor)
	if !ok {
		return nil, fmt.Errorf("%s is no method", c.Method)
	}
	request, err := newMessage(method.Input())
	if err != nil {
		return nil, err
	}
	response, err := newMessage(method.Output())
	if err != nil {
		return nil, err
	}
	if err := protojson.Unmarshal(c.Request, request); err != nil {
		return nil, fmt.Errorf("%s: %w", c.Method, err)
	}
	path := fmt.Sprintf("/%s/%s", method.Parent().FullName(), method.Name())
	if err := h.engine.Invoke(ctx, path, request, response); err != nil {
		return nil, err
	}
	text, err := protojson.MarshalOptions{UseProtoNames: true, EmitUnpopulated: true}.Marshal(response)
	return json.RawMessage(text), err
}

func newMessage(descriptor protoreflect.MessageDescriptor) (proto.Message, error) {
	kind, err := protoregistry.GlobalTypes.FindMessageByName(descriptor.FullName())
	if err != nil {
		return nil, err
	}
	return kind.New().Interface(), nil
}

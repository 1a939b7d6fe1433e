package main

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/go-plugin"
)

// servePlugin serves the Probe contract until the host stops it.
func servePlugin(arguments []string) error {
	flags := flag.NewFlagSet("plugin", flag.ExitOnError)
	versions := flags.String("versions", "1", "versions of the contract that it speaks, separated by commas")
	stubborn := flags.Float64("stubborn", 0, "seconds to go on living after the host has asked it to stop")
	certificate := flags.String("certificate", "", "PEM file of a certificate and key, for static TLS")
	test := flags.Bool("test", false, "serve in test mode: print the reattach data as JSON, stop when stdin ends")
	_ = flags.Parse(arguments)

	logger := hclog.New(&hclog.LoggerOptions{
		Name: "probe-plugin", Level: hclog.Trace, Output: os.Stderr, JSONFormat: true, DisableTime: false,
	})
	numbers, err := parseVersions(*versions)
	if err != nil {
		return err
	}
	config := &plugin.ServeConfig{
		HandshakeConfig:  probeHandshake,
		VersionedPlugins: probeSets(numbers, logger),
		GRPCServer:       unlimitedServer,
		Logger:           logger,
	}
	if *certificate != "" {
		config.TLSProvider = func() (*tls.Config, error) {
			pair, err := tls.LoadX509KeyPair(*certificate, *certificate)
			return &tls.Config{Certificates: []tls.Certificate{pair}, MinVersion: tls.VersionTLS12}, err
		}
	}
	if *test {
		return serveTest(config)
	}
	plugin.Serve(config)
	time.Sleep(seconds(*stubborn))
	return nil
}

func parseVersions(list string) ([]int, error) {
	var numbers []int
	for _, text := range strings.Split(list, ",") {
		number, err := strconv.Atoi(text)
		if err != nil {
			return nil, err
		}
		numbers = append(numbers, number)
	}
	return numbers, nil
}

// serveTest is go-plugin's test mode, announced in the form that Terraform reads from TF_REATTACH_PROVIDERS.
func serveTest(config *plugin.ServeConfig) error {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	attach, closed := make(chan *plugin.ReattachConfig, 1), make(chan struct{})
	config.Test = &plugin.ServeTestConfig{Context: ctx, ReattachConfigCh: attach, CloseCh: closed, SyncStdio: true}
	out := os.Stdout // Serve replaces the variable
	go plugin.Serve(config)

	at := <-attach
	text, err := json.Marshal(reattachment{
		Protocol: string(at.Protocol), ProtocolVersion: at.ProtocolVersion, Pid: at.Pid, Test: at.Test,
		Addr: address{Network: at.Addr.Network(), String: at.Addr.String()},
	})
	if err != nil {
		return err
	}
	fmt.Fprintf(out, "%s\n", text)
	_, _ = io.Copy(io.Discard, os.Stdin)
	cancel()
	<-closed
	return nil
}

// reattachment is one entry of TF_REATTACH_PROVIDERS.
type reattachment struct {
	Protocol        string
	ProtocolVersion int
	Pid             int
	Test            bool
	Addr            address
}

type address struct {
	Network string
	String  string
}

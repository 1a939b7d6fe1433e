// Command interop is the Go half of the interop tests, built on an unmodified go-plugin.
//
//	interop plugin [flags]        a plugin that serves the Probe contract
//	interop host                  a host that a test drives: one JSON command per line on stdin, one answer per line on stdout
//	interop kv-plugin             the plugin of go-plugin's key/value example
//	interop kv-host put KEY VALUE, interop kv-host get KEY
package main

import (
	"fmt"
	"os"
)

var programs = map[string]func(arguments []string) error{
	"plugin":    servePlugin,
	"host":      runHost,
	"kv-plugin": serveKV,
	"kv-host":   runKVHost,
}

func main() {
	if len(os.Args) < 2 || programs[os.Args[1]] == nil {
		fmt.Fprintln(os.Stderr, "usage: interop plugin|host|kv-plugin|kv-host [arguments]")
		os.Exit(2)
	}
	if err := programs[os.Args[1]](os.Args[2:]); err != nil {
		fmt.Fprintln(os.Stderr, "interop "+os.Args[1]+":", err)
		os.Exit(1)
	}
}

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
	"sync"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/go-plugin"
	"github.com/hashicorp/go-plugin/runner"
)

// box runs a plugin in go-plugin's stead, which then makes the folder for all sockets and asks it for every address.
type box struct {
	cmd    *exec.Cmd
	stdout io.ReadCloser
	stderr io.ReadCloser
	folder string // as the host sees it
	inside string // a symlink by which the plugin sees it, or empty

	lock    sync.Mutex
	toHost  []string // addresses that were to be translated
	toBox   []string
	left    []string // in the folder when the plugin had ended
	leftErr error
}

var _ runner.Runner = (*box)(nil)

func (h *host) runnerOf(c *command) func(hclog.Logger, *exec.Cmd, string) (runner.Runner, error) {
	return func(_ hclog.Logger, spec *exec.Cmd, folder string) (runner.Runner, error) {
		made, err := newBox(c, spec, folder)
		h.box = made
		return made, err
	}
}

// newBox makes a runner of c.Command. It takes nothing of `spec` but what go-plugin wants the plugin to get.
func newBox(c *command, spec *exec.Cmd, folder string) (*box, error) {
	b := &box{folder: folder, inside: c.SeenAs}
	b.cmd = exec.Command(c.Command[0], c.Command[1:]...)
	b.cmd.Stdin = spec.Stdin
	b.cmd.Env = append(c.Env, spec.Env...)
	if b.inside != "" {
		b.cmd.Env = append(b.cmd.Env, plugin.EnvUnixSocketDir+"="+b.inside)
	}
	var err error
	if b.stdout, err = b.cmd.StdoutPipe(); err != nil {
		return nil, err
	}
	b.stderr, err = b.cmd.StderrPipe()
	return b, err
}

func (b *box) Start(context.Context) error {
	if b.inside != "" {
		if err := os.Symlink(b.folder, b.inside); err != nil {
			return err
		}
	}
	if err := b.cmd.Start(); err != nil {
		return errors.Join(err, b.close())
	}
	return nil
}

// Wait cleans up too: go-plugin calls Kill only for a plugin that does not end by itself.
func (b *box) Wait(context.Context) error {
	ended := b.cmd.Wait()
	entries, err := os.ReadDir(b.folder)
	b.lock.Lock()
	defer b.lock.Unlock()
	b.leftErr = err
	for _, entry := range entries {
		b.left = append(b.left, entry.Name())
	}
	return errors.Join(ended, b.close())
}

func (b *box) close() error {
	if b.inside == "" {
		return nil
	}
	return os.Remove(b.inside)
}

func (b *box) Kill(context.Context) error {
	if b.cmd.Process == nil {
		return nil
	}
	if err := b.cmd.Process.Kill(); !errors.Is(err, os.ErrProcessDone) {
		return err
	}
	return nil
}

func (b *box) Stdout() io.ReadCloser           { return b.stdout }
func (b *box) Stderr() io.ReadCloser           { return b.stderr }
func (b *box) Name() string                    { return b.cmd.Path }
func (b *box) Diagnose(context.Context) string { return "is the box large enough?" }

func (b *box) ID() string {
	if b.cmd.Process == nil {
		return ""
	}
	return strconv.Itoa(b.cmd.Process.Pid)
}

func (b *box) PluginToHost(network, address string) (string, string, error) {
	return b.translate(network, address, b.inside, b.folder, &b.toHost)
}

func (b *box) HostToPlugin(network, address string) (string, string, error) {
	return b.translate(network, address, b.folder, b.inside, &b.toBox)
}

// translate refuses what is not in the folder: both paths lead there, so that nothing else would show the mistake.
func (b *box) translate(network, address, from, to string, log *[]string) (string, string, error) {
	b.lock.Lock()
	defer b.lock.Unlock()
	*log = append(*log, address)
	if b.inside == "" {
		return network, address, nil
	}
	name, found := strings.CutPrefix(address, from+"/")
	if network != "unix" || !found {
		return "", "", fmt.Errorf("%s %s is not in %s", network, address, from)
	}
	return network, to + "/" + name, nil
}

// boxed is what the runner has seen: the addresses before their translation, and what an ended plugin has left.
func (h *host) boxed(context.Context, *command) (any, error) {
	if h.box == nil {
		return nil, errors.New("this plugin was not started by a runner of ours")
	}
	h.box.lock.Lock()
	defer h.box.lock.Unlock()
	return facts{"from_plugin": h.box.toHost, "from_host": h.box.toBox, "left": h.box.left}, h.box.leftErr
}

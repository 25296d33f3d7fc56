package config

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"go.yaml.in/yaml/v3"
)

// Join writes into a home's sluice.yaml that its gateway has joined the control
// plane at url: it is a gateway from now on, and no quickstart home any more.
// In the WSO2 layout, where api-manager.xml says which control plane, only the
// profile is written. Comments and everything else stay. The file is replaced
// in one step.
func Join(home string, layout Layout, url string) error {
	name := filepath.Join(home, File)
	data, err := readLimited(name)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	var doc yaml.Node
	if err := yaml.Unmarshal(data, &doc); err != nil {
		return fmt.Errorf("%s: %w", File, err)
	}
	if len(doc.Content) == 0 {
		doc = yaml.Node{Kind: yaml.DocumentNode, Content: []*yaml.Node{{Kind: yaml.MappingNode}}}
	}
	top := doc.Content[0]
	if top.Kind != yaml.MappingNode {
		return fmt.Errorf("%s is not a list of settings", File)
	}
	setScalar(top, "profile", string(Production))
	if layout == Native {
		setScalar(top, "role", string(GatewayOnly))
		setScalar(child(top, "control_plane"), "url", url)
		remove(top, "environments") // they are the control plane's to know
	}
	var out bytes.Buffer
	enc := yaml.NewEncoder(&out)
	enc.SetIndent(2)
	if err := errors.Join(enc.Encode(&doc), enc.Close()); err != nil {
		return err
	}
	temp, err := os.CreateTemp(home, File+".*")
	if err != nil {
		return err
	}
	_, err = temp.Write(out.Bytes())
	err = errors.Join(err, temp.Sync(), temp.Close())
	if err == nil {
		err = os.Rename(temp.Name(), name)
	}
	if err != nil {
		return errors.Join(err, os.Remove(temp.Name()))
	}
	return nil
}

// find returns the value of a key of a mapping; nil: it has none.
func find(m *yaml.Node, key string) *yaml.Node {
	for i := 0; i+1 < len(m.Content); i += 2 {
		if m.Content[i].Value == key {
			return m.Content[i+1]
		}
	}
	return nil
}

// child returns the mapping below a key, made where it is missing.
func child(m *yaml.Node, key string) *yaml.Node {
	c := find(m, key)
	if c == nil {
		c = &yaml.Node{Kind: yaml.MappingNode}
		m.Content = append(m.Content, &yaml.Node{Kind: yaml.ScalarNode, Value: key}, c)
	}
	if c.Kind != yaml.MappingNode { // "control_plane:" with nothing below
		*c = yaml.Node{Kind: yaml.MappingNode}
	}
	return c
}

// setScalar gives a key of a mapping a text.
func setScalar(m *yaml.Node, key, value string) {
	if c := find(m, key); c != nil {
		c.Kind, c.Tag, c.Value, c.Content, c.Style = yaml.ScalarNode, "!!str", value, nil, 0
		return
	}
	m.Content = append(m.Content, &yaml.Node{Kind: yaml.ScalarNode, Value: key}, &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!str", Value: value})
}

// remove takes a key out of a mapping.
func remove(m *yaml.Node, key string) {
	for i := 0; i+1 < len(m.Content); i += 2 {
		if m.Content[i].Value == key {
			m.Content = append(m.Content[:i], m.Content[i+2:]...)
			return
		}
	}
}

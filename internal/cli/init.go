package cli

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strconv"

	"github.com/sluice-api/sluice"
	"github.com/sluice-api/sluice/internal/config"
	"github.com/sluice-api/sluice/internal/config/wso2"
	"github.com/sluice-api/sluice/internal/server"
)

// initCommand makes a home.
type initCommand struct {
	Dir               string `arg:"" help:"Folder to make; it must be empty or not exist." type:"path"`
	Layout            string `help:"native: one sluice.yaml. wso2: repository/conf/carbon.xml and api-manager.xml." enum:"native,wso2" default:"native"`
	Offset            int    `help:"Added to every port." default:"0"`
	Profile           string `help:"production, or quickstart: loopback only, login admin/admin." enum:"production,quickstart" default:"production"`
	AdminPasswordFile string `help:"File with the first administrator's password; a random one is made where not given." type:"existingfile" placeholder:"FILE"`
}

// Run writes the home's files.
func (c *initCommand) Run(e *environment) error {
	if entries, err := os.ReadDir(c.Dir); err == nil && len(entries) > 0 {
		return fmt.Errorf("%s is not empty", c.Dir)
	} else if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if c.Offset < 0 || c.Offset+9763 > 65535 {
		return fmt.Errorf("--offset %d moves a port out of 1 to 65535", c.Offset)
	}
	var password sluice.Secret
	if c.AdminPasswordFile != "" { // read first: what is refused leaves no half of a home
		var err error
		if password, err = readPassword(c.AdminPasswordFile); err != nil {
			return err
		}
	}
	if err := writeHome(c.Dir, config.Layout(c.Layout), config.Profile(c.Profile), c.Offset); err != nil {
		return err
	}
	if password != "" {
		if err := os.WriteFile(filepath.Join(c.Dir, server.AdminPasswordFile), []byte(password.Reveal()+"\n"), 0o600); err != nil {
			return err
		}
	}
	_, err := fmt.Fprintf(e.out, "Made %s. Edit its configuration, then: sluice serve --home %s\n", c.Dir, c.Dir)
	return err
}

// writeHome writes the configuration of a new home.
func writeHome(dir string, layout config.Layout, profile config.Profile, offset int) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	if layout == config.Native {
		return os.WriteFile(filepath.Join(dir, config.File), config.Template(profile, offset), 0o644)
	}
	files := wso2.Files()
	err := fs.WalkDir(files, ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		b, err := fs.ReadFile(files, name)
		if err != nil {
			return err
		}
		to := filepath.Join(dir, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
			return err
		}
		if filepath.Base(name) == "carbon.xml" {
			b = offsetElement.ReplaceAll(b, []byte("<Offset>"+strconv.Itoa(offset)+"</Offset>"))
		}
		return os.WriteFile(to, b, 0o644)
	})
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(dir, config.File), []byte("profile: "+string(profile)+"\n"), 0o644)
}

var offsetElement = regexp.MustCompile(`<Offset>[^<]*</Offset>`)

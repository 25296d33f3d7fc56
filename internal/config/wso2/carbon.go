package wso2

import "github.com/sluice-api/sluice/internal/config"

// carbon takes from carbon.xml what decides ports and hosts; nothing in it may
// use properties, which depend on them.
func (im *importer) carbon(root *element) {
	s := im.settings
	s.Offset = im.value(carbonFile, root.find("Ports"), "Offset")
	if e := root.find("Ports").find("Offset"); e != nil && !s.Offset.Set() { // an empty one is not 0
		s.Offset = config.Value{Name: e.name, File: carbonFile, Line: e.line}
	}
	s.Host = im.address(carbonFile, root, "HostName")
	s.ManagementHost = im.address(carbonFile, root, "MgtHostName")
}

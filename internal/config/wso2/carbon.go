package wso2

// carbon takes from carbon.xml what decides ports and hosts; nothing in it may
// use properties, which depend on them.
func (im *importer) carbon(root *element) {
	s := im.settings
	s.Offset = im.value(carbonFile, root.find("Ports"), "Offset")
	s.Host = im.address(carbonFile, root, "HostName")
	s.ManagementHost = im.address(carbonFile, root, "MgtHostName")
}

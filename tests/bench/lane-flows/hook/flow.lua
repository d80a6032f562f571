--- Take what comes.
return { run = function() end }
